// Package schema is the schema from which ent generates package ent.
package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// User is a customer.
type User struct{ ent.Schema }

// Fields are the columns of a user.
func (User) Fields() []ent.Field {
	return []ent.Field{
		field.String("email").Unique(),
		field.String("name").Default(""),
	}
}

// Edges are the relations of a user.
func (User) Edges() []ent.Edge {
	return []ent.Edge{edge.To("orders", Order.Type)}
}

// Order is a user's order.
type Order struct{ ent.Schema }

// Fields are the columns of an order.
func (Order) Fields() []ent.Field {
	return []ent.Field{
		field.Enum("status").Values("open", "paid", "sent").Default("open"),
		field.Int64("cents"),
	}
}

// Indexes are the indexes of orders.
func (Order) Indexes() []ent.Index {
	return []ent.Index{index.Fields("status", "cents")}
}
