// Package schema is what ent made package ent from.
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

// Edges are what a user has.
func (User) Edges() []ent.Edge {
	return []ent.Edge{edge.To("orders", Order.Type)}
}

// Order is what a user ordered.
type Order struct{ ent.Schema }

// Fields are the columns of an order.
func (Order) Fields() []ent.Field {
	return []ent.Field{
		field.Enum("status").Values("open", "paid", "sent").Default("open"),
		field.Int64("cents"),
	}
}

// Indexes are those of orders.
func (Order) Indexes() []ent.Index {
	return []ent.Index{index.Fields("status", "cents")}
}
