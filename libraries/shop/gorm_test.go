package shop_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"gorm.io/driver/mysql"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
)

// The models of the shop for gorm; AutoMigrate creates the tables. A table has at most
// one foreign key, since gorm creates the keys of a table in random order.
type (
	User struct {
		ID     int64
		Email  string `gorm:"size:190;uniqueIndex"`
		Name   string `gorm:"size:100"`
		Orders []Order
		Wishes []Item `gorm:"many2many:wishes;constraint:-"`
	}
	Item struct {
		ID    int64
		SKU   string `gorm:"size:40;uniqueIndex"`
		Name  string `gorm:"size:100;not null;default:thing"`
		Cents int64  `gorm:"check:cents >= 0"`
		Stock int64
	}
	Order struct {
		ID        int64
		UserID    int64
		Status    string    `gorm:"size:20;index:orders_by_status,where:status <> 'sent'"`
		PlacedAt  time.Time `gorm:"autoCreateTime"`
		DeletedAt gorm.DeletedAt
		Lines     []Line
	}
	Line struct {
		OrderID  int64 `gorm:"primaryKey;autoIncrement:false"`
		ItemID   int64 `gorm:"primaryKey;autoIncrement:false"`
		Quantity int64
		Cents    int64
		Item     Item `gorm:"constraint:-"`
	}
)

// TableName returns the table of lines.
func (Line) TableName() string { return "order_items" }

// total is a user's total.
type total struct {
	Name  string
	Cents int64
}

func TestShop_GormStatementsHaveReadableSummaries(t *testing.T) {
	play(t, "gorm", func(ctx context.Context, t *testing.T, s *shop) func(string) error {
		dialector := gorm.Dialector(mysql.New(mysql.Config{Conn: s.DB}))
		if s.name == "postgresql" {
			dialector = postgres.New(postgres.Config{Conn: s.DB})
		}
		db := must(gorm.Open(dialector, &gorm.Config{Logger: logger.Discard}))(t).WithContext(ctx)

		gormMigrates(t, db)
		gormSells(t, db)
		gormQueries(t, db)
		gormChanges(t, db)
		return func(statement string) error { return db.Exec(statement).Error }
	})
}

func gormMigrates(t *testing.T, db *gorm.DB) {
	for range 2 { // the second time there is nothing to create
		ok(t, db.AutoMigrate(&User{}, &Item{}, &Order{}, &Line{}))
	}
	m := db.Migrator()
	ok(t, m.CreateView("order_totals", gorm.ViewOption{
		Replace: true,
		Query: db.Model(&Order{}).Select("orders.user_id, SUM(order_items.quantity * order_items.cents) AS cents").
			Joins("JOIN order_items ON order_items.order_id = orders.id").Group("orders.user_id"),
	}))
	ok(t, m.RenameColumn(&Item{}, "name", "title"))
	ok(t, m.RenameColumn(&Item{}, "title", "name"))
	ok(t, m.CreateTable(&total{}))
	ok(t, m.DropColumn(&total{}, "cents"))
	ok(t, m.AddColumn(&total{}, "cents"))
	ok(t, m.AlterColumn(&total{}, "name"))
	ok(t, m.RenameTable("totals", "old_totals"))
	ok(t, m.DropTable("old_totals"))
	ok(t, m.DropIndex(&Order{}, "orders_by_status"))
	ok(t, m.CreateIndex(&Order{}, "orders_by_status"))
}

func gormSells(t *testing.T, db *gorm.DB) {
	items := []Item{{SKU: "cup", Name: secretText, Cents: 500, Stock: 10}, {SKU: "jug", Cents: 900, Stock: 5}, {SKU: "pot", Cents: 1900}}
	ok(t, db.CreateInBatches(items, 2).Error)
	ok(t, db.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "sku"}},
		DoUpdates: clause.AssignmentColumns([]string{"name", "cents"}),
	}).Create(&Item{SKU: "cup", Name: "Cup", Cents: 550}).Error)
	ok(t, db.Clauses(clause.OnConflict{DoNothing: true}).Create(&Item{SKU: "jug"}).Error)

	ann, bob := User{Email: "ann@example.com", Name: secretText, Wishes: items[:1]}, User{Email: "bob@example.com"}
	ok(t, db.Create(&ann).Error)
	ok(t, db.Where(User{Email: bob.Email}).Attrs(User{Name: "Bob"}).FirstOrCreate(&bob).Error)

	ok(t, db.Transaction(func(tx *gorm.DB) error {
		var item Item
		ok(t, tx.Clauses(clause.Locking{Strength: "UPDATE"}).First(&item, "sku = ?", "cup").Error)
		ok(t, tx.Create(&Order{UserID: ann.ID, Status: "open", Lines: []Line{{ItemID: item.ID, Quantity: 2, Cents: item.Cents}}}).Error)
		ok(t, tx.SavePoint("one_more").Error)
		ok(t, tx.Create(&Order{UserID: bob.ID, Status: "open"}).Error)
		ok(t, tx.RollbackTo("one_more").Error)
		return tx.Model(&item).UpdateColumn("stock", gorm.Expr("stock - ?", 2)).Error
	}))
}

func gormQueries(t *testing.T, db *gorm.DB) {
	var user User
	ok(t, db.Preload("Orders.Lines.Item").Preload("Wishes").First(&user, "email = ?", "ann@example.com").Error)
	if len(user.Orders) != 1 || len(user.Orders[0].Lines) != 1 || len(user.Wishes) != 1 {
		t.Errorf("the user is %+v, want an order of one line, and a wish", user)
	}
	var users []User
	var orders []Order
	var items []Item
	var lines []Line
	var totals []total
	var names []string
	var n int64
	ok(t, db.Find(&items, []int64{1, 2, 3}).Error)
	ok(t, db.Where("sku IN ?", []string{"cup", "jug"}).Or("stock > ?", 7391555173).Not("cents < 0").Find(&items).Error)
	ok(t, db.Model(&Item{}).Where("stock > 0").Count(&n).Error)
	ok(t, db.Where("stock > 0").Order("name DESC, id").Limit(20).Offset(40).Find(&items).Error)
	ok(t, db.Joins("Item").Where("order_items.quantity >= ?", 2).Find(&lines).Error)
	ok(t, db.Model(&Item{}).Distinct().Order("name").Pluck("name", &names).Error)
	ok(t, db.Unscoped().Take(&orders).Error)
	ok(t, db.Table("users AS u").Select("u.name, SUM(oi.quantity * oi.cents) AS cents").
		Joins("JOIN orders o ON o.user_id = u.id").Joins("LEFT JOIN order_items AS oi ON oi.order_id = o.id").
		Group("u.name").Having("SUM(oi.cents) > ?", 1).Scan(&totals).Error)
	ok(t, db.Table("order_totals AS t").Select("u.name, t.cents").Joins("INNER JOIN users u ON u.id = t.user_id").Scan(&totals).Error)
	ok(t, db.Where("id IN (?)", db.Model(&Order{}).Select("user_id").Where("status = 'open'")).Find(&users).Error)
	ok(t, db.Where("NOT EXISTS (?)", db.Model(&Order{}).Select("1").Where("orders.user_id = users.id")).Find(&users).Error)
	ok(t, db.Table("(?) AS o, (?) AS i", db.Model(&Order{}).Select("id"), db.Model(&Item{}).Select("id")).Count(&n).Error)
	ok(t, db.Raw("? UNION ALL ? ORDER BY name", db.Model(&User{}).Select("name"), db.Model(&Item{}).Select("name")).Scan(&names).Error)
	ok(t, db.Raw(`WITH spent AS (SELECT user_id, cents FROM order_totals WHERE cents > @least)
		SELECT users.name, spent.cents, RANK() OVER (ORDER BY spent.cents) AS place FROM spent JOIN users ON users.id = spent.user_id`,
		map[string]any{"least": 100}).Scan(&totals).Error)
	if got, want := fmt.Sprint(totals), fmt.Sprintf("[{%s 1100}]", secretText); got != want {
		t.Errorf("the totals are %v, want %v", got, want)
	}
	ok(t, db.Model(&Item{}).Where("name = 'tulipbulb' OR cents = 7391555173").Find(&items).Error)
}

func gormChanges(t *testing.T, db *gorm.DB) {
	var user User
	ok(t, db.Last(&user, "email = ?", "ann@example.com").Error)
	ok(t, db.Model(&user).Updates(map[string]any{"name": "Ann", "email": "ann@example.org"}).Error)
	ok(t, db.Save(&user).Error)
	ok(t, db.Model(&user).Association("Wishes").Append(&Item{SKU: "lid", Cents: 100}))
	ok(t, db.Model(&user).Association("Wishes").Clear())
	ok(t, db.Model(&Item{}).Where("stock = 0").Update("cents", db.Table("order_items").Select("COALESCE(MAX(cents), 0)")).Error)
	ok(t, db.Model(&Item{}).Where("id IN (?)", db.Model(&Line{}).Select("item_id").Group("item_id").Having("SUM(quantity) > 1")).
		Update("cents", gorm.Expr("cents * 110 / 100")).Error)
	ok(t, db.Exec("INSERT INTO order_items (order_id, item_id, quantity, cents) SELECT o.id, i.id, 1, i.cents FROM orders o CROSS JOIN items i WHERE i.sku = ?", "jug").Error)
	ok(t, db.Where("order_id IN (?)", db.Unscoped().Model(&Order{}).Select("id").Where("status = ?", "cancelled")).Delete(&Line{}).Error)
	ok(t, db.Where("status = 'open'").Delete(&Order{}).Error)
	ok(t, db.Unscoped().Delete(&Order{}, []int64{8, 9}).Error)
	ok(t, db.Select("Wishes").Delete(&User{ID: 9}).Error)
}
