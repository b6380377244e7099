package otelpool_test

import (
	"context"
	"database/sql/driver"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
)

// A treatment is what the wrapper does about one interface on one of its types.
type treatment struct {
	on      kind
	offered offered
	bits    int            // if offered == exactly: the driver's interfaces that require it
	has     func(any) bool // of a wrapped object
	reason  string
}

// kind is a type of the wrapper that can have optional interfaces.
type kind string

const (
	onDriver    kind = "driver"
	onConnector kind = "connector"
	onConn      kind = "conn"
	onStmt      kind = "stmt"
	onRows      kind = "rows"
	onNothing   kind = "no type of the wrapper"
)

// offered is when the wrapper has an interface.
type offered string

const (
	exactly   offered = "if and only if the driver has it"
	always    offered = "always"
	never     offered = "never"
	unwrapped offered = "as the driver or the program made it"
)

func has[T any](v any) bool { _, ok := v.(T); return ok }

// classified lists every interface of database/sql/driver and what the wrapper does about it.
// An interface that a Go release adds must be added here: as exactly, or with the reason why
// programs cannot notice that the wrapper has it.
var classified = map[string][]treatment{
	"Driver":    {{on: onDriver, offered: always, has: has[driver.Driver], reason: "it is wrapped"}},
	"Connector": {{on: onConnector, offered: always, has: has[driver.Connector], reason: "it is wrapped"}},
	"Conn":      {{on: onConn, offered: always, has: has[driver.Conn], reason: "it is wrapped"}},
	"Stmt":      {{on: onStmt, offered: always, has: has[driver.Stmt], reason: "it is wrapped"}},
	"Rows":      {{on: onRows, offered: always, has: has[driver.Rows], reason: "it is wrapped"}},
	"Tx":        {{on: onNothing, offered: unwrapped, reason: "it is wrapped, and has no optional interface"}},

	"DriverContext": {{on: onDriver, offered: always, has: has[driver.DriverContext], reason: "without it database/sql makes the connector that we make"}},

	"Pinger":             {{on: onConn, offered: always, has: has[driver.Pinger], reason: "Ping returns nil"}},
	"ConnPrepareContext": {{on: onConn, offered: always, has: has[driver.ConnPrepareContext], reason: "it falls back to Prepare as database/sql does"}},
	"ConnBeginTx":        {{on: onConn, offered: always, has: has[driver.ConnBeginTx], reason: "it falls back to Begin as database/sql does, with the same refusals"}},
	"SessionResetter":    {{on: onConn, offered: always, has: has[driver.SessionResetter], reason: "it returns nil, and marks the acquire"}},
	"Validator":          {{on: onConn, offered: always, has: has[driver.Validator], reason: "it returns true, and marks the release"}},
	"ExecerContext": {{
		on: onConn, offered: exactly, bits: int(fakedb.ExecerContext | fakedb.Execer), has: has[driver.ExecerContext],
		reason: "arguments are converted before it can decline",
	}},
	"QueryerContext": {{
		on: onConn, offered: exactly, bits: int(fakedb.QueryerContext | fakedb.Queryer), has: has[driver.QueryerContext],
		reason: "arguments are converted before it can decline",
	}},
	"Execer":  {{on: onConn, offered: never, has: has[driver.Execer], reason: "database/sql looks for ExecerContext first"}},
	"Queryer": {{on: onConn, offered: never, has: has[driver.Queryer], reason: "database/sql looks for QueryerContext first"}},

	"NamedValueChecker": {
		{on: onConn, offered: always, has: has[driver.NamedValueChecker], reason: "it returns ErrSkip"},
		{on: onStmt, offered: always, has: has[driver.NamedValueChecker], reason: "it calls the connection's, as database/sql does"},
	},
	"StmtExecContext":  {{on: onStmt, offered: always, has: has[driver.StmtExecContext], reason: "it falls back to Exec as database/sql does"}},
	"StmtQueryContext": {{on: onStmt, offered: always, has: has[driver.StmtQueryContext], reason: "it falls back to Query as database/sql does"}},
	"ColumnConverter": {{
		on: onStmt, offered: exactly, bits: int(fakedb.StmtColumnConverter), has: has[driver.ColumnConverter],
		reason: "its presence changes how arguments are counted, and the text of the error",
	}},

	"RowsNextResultSet":              {{on: onRows, offered: always, has: has[driver.RowsNextResultSet], reason: "HasNextResultSet returns false"}},
	"RowsColumnTypeScanType":         {{on: onRows, offered: always, has: has[driver.RowsColumnTypeScanType], reason: "it returns the type of any"}},
	"RowsColumnTypeDatabaseTypeName": {{on: onRows, offered: always, has: has[driver.RowsColumnTypeDatabaseTypeName], reason: "it returns the empty string"}},
	"RowsColumnTypeLength":           {{on: onRows, offered: always, has: has[driver.RowsColumnTypeLength], reason: "it returns ok = false"}},
	"RowsColumnTypeNullable":         {{on: onRows, offered: always, has: has[driver.RowsColumnTypeNullable], reason: "it returns ok = false"}},
	"RowsColumnTypePrecisionScale":   {{on: onRows, offered: always, has: has[driver.RowsColumnTypePrecisionScale], reason: "it returns ok = false"}},

	"Result":         {{on: onNothing, offered: unwrapped, reason: "the driver's result is returned unchanged"}},
	"Valuer":         {{on: onNothing, offered: unwrapped, reason: "arguments belong to the program"}},
	"ValueConverter": {{on: onNothing, offered: unwrapped, reason: "the driver's converter is returned unchanged"}},
}

func TestInterfaces_ListHasAllOfTheDriverPackage(t *testing.T) {
	var names []string
	for name := range classifiedInThisRelease() {
		names = append(names, name)
	}
	slices.Sort(names)
	if got := driverInterfaces(t); !slices.Equal(got, names) {
		t.Errorf("database/sql/driver has\n%q\nclassified are\n%q", got, names)
	}
}

func TestInterfaces_WrapperHasThoseOfTheList(t *testing.T) {
	for conn := range fakedb.AllConn + 1 {
		checkShape(t, shape{conn: conn}, onConn, int(conn))
	}
	for stmt := range fakedb.AllStmt + 1 {
		checkShape(t, shape{stmt: stmt}, onStmt, int(stmt))
	}
	for rows := range allRowsHere + 1 {
		checkShape(t, shape{rows: rows}, onRows, int(rows))
	}
	for _, is := range []bool{false, true} {
		fake := fakedb.New(fakedb.Config{DriverContext: is, Closer: is})
		checkInterfaces(t, onDriver, 0, otelpool.NewDriver(fake.Driver()))
		checkInterfaces(t, onConnector, 0, otelpool.NewConnector(fake.Connector()))
	}
}

func TestConn_ReturnsTheDriversResultUnchanged(t *testing.T) {
	want := &ids{}
	fake := fakedb.New(fakedb.Config{
		Conn:    fakedb.ExecerContext,
		Quiet:   true,
		Answers: map[string]fakedb.Answer{"": {Result: want}},
	})
	c := connect(t, fake)
	res, err := c.(driver.ExecerContext).ExecContext(t.Context(), "", nil)
	if res != want || err != nil {
		t.Errorf("got %v, %v, want the driver's result", res, err)
	}
}

// classifiedInThisRelease returns the interfaces of the Go release that runs the test.
func classifiedInThisRelease() map[string][]treatment {
	all := maps.Clone(classified)
	maps.Copy(all, classifiedSince127)
	return all
}

// checkShape checks the wrapper's type of one kind over a driver with the given shape.
func checkShape(t *testing.T, sh shape, on kind, bits int) {
	t.Helper()
	fake := fakedb.New(fakedb.Config{Conn: sh.conn, Stmt: sh.stmt, Rows: sh.rows, Quiet: true})
	c := connect(t, fake)
	defer func() { _ = c.Close() }()
	if on == onConn {
		checkInterfaces(t, on, bits, c)
		return
	}
	s, err := c.Prepare("")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if on == onStmt {
		checkInterfaces(t, on, bits, s)
		return
	}
	r, err := s.(driver.StmtQueryContext).QueryContext(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	checkInterfaces(t, on, bits, r)
}

// checkInterfaces compares a wrapped object with classified; bits is what the driver has.
func checkInterfaces(t *testing.T, on kind, bits int, wrapped any) {
	t.Helper()
	for name, treatments := range classifiedInThisRelease() {
		for _, p := range treatments {
			if p.on != on {
				continue
			}
			want := p.offered == always || p.offered == exactly && bits&p.bits != 0
			if got := p.has(wrapped); got != want {
				t.Errorf("%s on a %s that has %#b: got %t, want %t: offered %s, because %s", name, on, bits, got, want, p.offered, p.reason)
			}
		}
	}
}

// connect returns a wrapped connection. Its pool is closed at the end of the test.
func connect(t *testing.T, fake *fakedb.DB) driver.Conn {
	t.Helper()
	connector := otelpool.NewConnector(fake.Connector())
	c, err := connector.Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if closer, ok := connector.(io.Closer); ok {
		t.Cleanup(func() { _ = closer.Close() })
	}
	return c
}

// driverInterfaces reads the names of the exported interfaces of
// database/sql/driver from its source, sorted.
func driverInterfaces(t *testing.T) []string {
	t.Helper()
	pkg, err := build.Import("database/sql/driver", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]ast.Expr{}
	for _, name := range pkg.GoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(pkg.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if d, ok := d.(*ast.GenDecl); ok {
				for _, s := range d.Specs {
					if s, ok := s.(*ast.TypeSpec); ok {
						types[s.Name.Name] = s.Type
					}
				}
			}
		}
	}
	var names []string
	for name, def := range types {
		// A type may be defined by the name of another.
		for other, ok := def.(*ast.Ident); ok && types[other.Name] != nil; other, ok = def.(*ast.Ident) {
			def = types[other.Name]
		}
		if i, ok := def.(*ast.InterfaceType); ok && ast.IsExported(name) && len(i.Methods.List) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
