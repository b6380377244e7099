package shop_test

import (
	"context"
	"testing"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
	"entgo.io/ent/dialect/sql/schema"

	"github.com/otelpool/otelpool/libraries/shop/ent"
	"github.com/otelpool/otelpool/libraries/shop/ent/order"
	"github.com/otelpool/otelpool/libraries/shop/ent/user"
)

func TestShop_EntStatementsHaveReadableSummaries(t *testing.T) {
	play(t, "ent", func(ctx context.Context, t *testing.T, s *shop) func(string) error {
		name := map[string]string{"mariadb": dialect.MySQL, "postgresql": dialect.Postgres}[s.name]
		driver := sql.OpenDB(name, s.DB.DB)
		client := ent.NewClient(ent.Driver(driver))
		for range 2 { // the second time there is nothing to create
			ok(t, client.Schema.Create(ctx, schema.WithDropIndex(true)))
		}
		entSells(ctx, t, client)
		entQueries(ctx, t, client)
		entChanges(ctx, t, client)
		entBuilds(ctx, t, sql.Dialect(name), driver)
		return func(statement string) error {
			_, err := client.ExecContext(ctx, statement)
			return err
		}
	})
}

func entSells(ctx context.Context, t *testing.T, client *ent.Client) {
	ann := must(client.User.Create().SetEmail("ann@example.com").SetName(secretText).Save(ctx))(t)
	must(client.User.CreateBulk(client.User.Create().SetEmail("bob@example.com"), client.User.Create().SetEmail("cy@example.com")).Save(ctx))(t)

	tx := must(client.BeginTx(ctx, nil))(t)
	first := must(tx.Order.Create().SetCents(500).Save(ctx))(t)
	second := must(tx.Order.Create().SetCents(900).SetStatus(order.StatusPaid).Save(ctx))(t)
	must(tx.User.UpdateOne(ann).AddOrders(first, second).Save(ctx))(t)
	must(tx.ExecContext(ctx, "SAVEPOINT one_more"))(t)
	must(tx.User.Create().SetEmail("dee@example.com").Save(ctx))(t)
	must(tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT one_more"))(t)
	ok(t, tx.Commit())
}

func entQueries(ctx context.Context, t *testing.T, client *ent.Client) {
	ann := must(client.User.Query().Where(user.EmailEQ("ann@example.com")).Only(ctx))(t)
	must(client.User.Get(ctx, ann.ID))(t)
	must(client.User.Query().Where(user.NameContainsFold("ANN"), user.Or(user.IDIn(1, 2, 3), user.EmailHasSuffix(".org"))).All(ctx))(t)
	must(client.User.Query().Order(ent.Desc(user.FieldName), ent.Asc(user.FieldID)).Limit(20).Offset(40).All(ctx))(t)
	must(client.User.Query().Where(user.HasOrdersWith(order.StatusEQ(order.StatusPaid), order.CentsGT(100))).IDs(ctx))(t)
	must(client.User.Query().Where(user.Not(user.HasOrders())).Exist(ctx))(t)
	must(ann.QueryOrders().Count(ctx))(t)
	must(client.User.Query().Where(user.HasOrders()).QueryOrders().All(ctx))(t)
	users := must(client.User.Query().WithOrders(func(q *ent.OrderQuery) { q.Where(order.CentsGT(0)) }).Order(ent.Asc(user.FieldID)).All(ctx))(t)
	if len(users) != 3 || len(users[0].Edges.Orders) != 2 {
		t.Errorf("there are %v, want three users, the first with two orders", users)
	}
	must(client.User.Query().Order(user.ByOrdersCount(sql.OrderDesc())).First(ctx))(t)
	must(client.User.Query().Unique(true).Select(user.FieldName).Strings(ctx))(t)
	must(client.Order.Query().Aggregate(ent.Sum(order.FieldCents)).Ints(ctx))(t)
	var sums []struct {
		Status string
		Sum    int
	}
	ok(t, client.Order.Query().GroupBy(order.FieldStatus).Aggregate(ent.Sum(order.FieldCents)).Scan(ctx, &sums))
	must(client.User.Query().Where(func(s *sql.Selector) {
		orders := sql.Table(order.Table)
		s.Join(orders).On(s.C(user.FieldID), orders.C(user.OrdersColumn))
		s.Where(sql.ExprP("users.name <> 'tulipbulb' OR cents = 7391555173"))
		s.GroupBy(s.C(user.FieldID)).Having(sql.GT(sql.Count("*"), 1))
	}).IDs(ctx))(t)
}

func entChanges(ctx context.Context, t *testing.T, client *ent.Client) {
	must(client.Order.Update().Where(order.StatusEQ(order.StatusOpen), order.CentsLT(1000)).SetStatus(order.StatusPaid).AddCents(1).Save(ctx))(t)
	must(client.User.Update().Where(user.HasOrders()).SetName(secretText).Save(ctx))(t)
	ann := must(client.User.Query().Order(ent.Asc(user.FieldID)).First(ctx))(t)
	must(ann.Update().SetName("Ann").Save(ctx))(t)
	must(ann.Update().ClearOrders().Save(ctx))(t)
	ok(t, client.Order.DeleteOneID(1).Exec(ctx))
	must(client.User.Delete().Where(user.Not(user.HasOrders()), user.EmailHasPrefix("cy")).Exec(ctx))(t)
}

// entBuilds runs statements that only ent's builder can make, not the generated code.
func entBuilds(ctx context.Context, t *testing.T, b *sql.DialectBuilder, driver *sql.Driver) {
	users, orders, spent := b.Table("users"), b.Table("orders").As("o"), b.Table("spent").As("s")
	id, owner := users.C(user.FieldID), orders.C(user.OrdersColumn)
	sums := b.With("spent").As(b.Select(owner, sql.As(sql.Sum(orders.C("cents")), "cents")).From(orders).GroupBy(owner))
	for _, q := range []sql.Querier{
		b.Select(users.C("name"), spent.C("cents")).From(users).Prefix(sums).Join(spent).On(id, spent.C(user.OrdersColumn)),
		b.Select(id).From(users).Where(sql.Exists(b.Select("*").From(orders).Where(sql.ColumnsEQ(owner, id)))),
		b.Select("name").From(users).UnionAll(b.Select("status").From(orders)),
		b.Select("id").From(b.Select("id").From(users).Limit(10).As("page")),
		b.Select("id").From(users).Where(sql.EQ("email", "ann@example.com")).ForUpdate(),
		b.Select().AppendSelectExpr(sql.RowNumber().PartitionBy("status").OrderBy("id")).From(b.Table("orders")),
	} {
		var rows sql.Rows
		text, args := q.Query()
		ok(t, driver.Query(ctx, text, args, &rows))
		ok(t, rows.Close())
	}
	for _, q := range []sql.Querier{
		b.Insert("users").Columns("email", "name").Values("ann@example.com", secretText).
			OnConflict(sql.ConflictColumns("email"), sql.ResolveWithNewValues()),
		b.Insert("users").Columns("email", "name").Values("ann@example.com", secretText).OnConflict(sql.ConflictColumns("email"), sql.DoNothing()),
		b.Update("orders").Set("cents", sql.Expr("cents + 7391555173 - 7391555173")).Where(sql.In("user_orders", b.Select("id").From(users))),
		b.Delete("orders").Where(sql.In("user_orders", b.Select("id").From(users).Where(sql.HasPrefix("email", "bob")))),
	} {
		text, args := q.Query()
		ok(t, driver.Exec(ctx, text, args, nil))
	}
}
