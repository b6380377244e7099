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

// place is how the wrapper answers for one interface on one of its types.
type place struct {
	on     kind
	shown  shown
	bits   int            // shown == exactly: interfaces of the driver that bring it
	has    func(any) bool // of a wrapped object
	reason string
}

// kind is what can have an optional interface.
type kind string

const (
	onDriver    kind = "driver"
	onConnector kind = "connector"
	onConn      kind = "conn"
	onStmt      kind = "stmt"
	onRows      kind = "rows"
	onNothing   kind = "nothing of ours"
)

// shown is when the wrapper has an interface.
type shown string

const (
	exactly   shown = "if and only if the driver has it"
	always    shown = "always"
	never     shown = "never"
	unwrapped shown = "as the driver or the program made it"
)

func has[T any](v any) bool { _, ok := v.(T); return ok }

// classified is every interface of database/sql/driver and what the wrapper does
// about it. An interface that Go adds has to be added here, with a reason why the
// wrapper cannot be told from its absence, or as one that is shown exactly.
var classified = map[string][]place{
	"Driver":    {{on: onDriver, shown: always, has: has[driver.Driver], reason: "it is wrapped"}},
	"Connector": {{on: onConnector, shown: always, has: has[driver.Connector], reason: "it is wrapped"}},
	"Conn":      {{on: onConn, shown: always, has: has[driver.Conn], reason: "it is wrapped"}},
	"Stmt":      {{on: onStmt, shown: always, has: has[driver.Stmt], reason: "it is wrapped"}},
	"Rows":      {{on: onRows, shown: always, has: has[driver.Rows], reason: "it is wrapped"}},
	"Tx":        {{on: onNothing, shown: unwrapped, reason: "it is wrapped, and has no optional interface"}},

	"DriverContext": {{on: onDriver, shown: always, has: has[driver.DriverContext], reason: "without it database/sql makes the connector that we make"}},

	"Pinger":             {{on: onConn, shown: always, has: has[driver.Pinger], reason: "Ping answers nil"}},
	"ConnPrepareContext": {{on: onConn, shown: always, has: has[driver.ConnPrepareContext], reason: "it falls back to Prepare as database/sql does"}},
	"ConnBeginTx":        {{on: onConn, shown: always, has: has[driver.ConnBeginTx], reason: "it falls back to Begin as database/sql does, with the same refusals"}},
	"SessionResetter":    {{on: onConn, shown: always, has: has[driver.SessionResetter], reason: "it answers nil, and tells of the acquire"}},
	"Validator":          {{on: onConn, shown: always, has: has[driver.Validator], reason: "it answers true, and tells of the release"}},
	"ExecerContext": {{
		on: onConn, shown: exactly, bits: int(fakedb.ExecerContext | fakedb.Execer), has: has[driver.ExecerContext],
		reason: "arguments are converted before it can decline",
	}},
	"QueryerContext": {{
		on: onConn, shown: exactly, bits: int(fakedb.QueryerContext | fakedb.Queryer), has: has[driver.QueryerContext],
		reason: "arguments are converted before it can decline",
	}},
	"Execer":  {{on: onConn, shown: never, has: has[driver.Execer], reason: "database/sql asks for ExecerContext first"}},
	"Queryer": {{on: onConn, shown: never, has: has[driver.Queryer], reason: "database/sql asks for QueryerContext first"}},

	"NamedValueChecker": {
		{on: onConn, shown: always, has: has[driver.NamedValueChecker], reason: "it answers ErrSkip"},
		{on: onStmt, shown: always, has: has[driver.NamedValueChecker], reason: "it asks the connection, as database/sql does"},
	},
	"StmtExecContext":  {{on: onStmt, shown: always, has: has[driver.StmtExecContext], reason: "it falls back to Exec as database/sql does"}},
	"StmtQueryContext": {{on: onStmt, shown: always, has: has[driver.StmtQueryContext], reason: "it falls back to Query as database/sql does"}},
	"ColumnConverter": {{
		on: onStmt, shown: exactly, bits: int(fakedb.StmtColumnConverter), has: has[driver.ColumnConverter],
		reason: "its presence changes how arguments are counted and what the error says",
	}},

	"RowsNextResultSet":              {{on: onRows, shown: always, has: has[driver.RowsNextResultSet], reason: "there is no next one"}},
	"RowsColumnTypeScanType":         {{on: onRows, shown: always, has: has[driver.RowsColumnTypeScanType], reason: "it answers the type of any"}},
	"RowsColumnTypeDatabaseTypeName": {{on: onRows, shown: always, has: has[driver.RowsColumnTypeDatabaseTypeName], reason: "it answers the empty string"}},
	"RowsColumnTypeLength":           {{on: onRows, shown: always, has: has[driver.RowsColumnTypeLength], reason: "it answers ok = false"}},
	"RowsColumnTypeNullable":         {{on: onRows, shown: always, has: has[driver.RowsColumnTypeNullable], reason: "it answers ok = false"}},
	"RowsColumnTypePrecisionScale":   {{on: onRows, shown: always, has: has[driver.RowsColumnTypePrecisionScale], reason: "it answers ok = false"}},

	"Result":         {{on: onNothing, shown: unwrapped, reason: "the driver's result is handed on"}},
	"Valuer":         {{on: onNothing, shown: unwrapped, reason: "arguments are the program's"}},
	"ValueConverter": {{on: onNothing, shown: unwrapped, reason: "the driver's converter is handed on"}},
}

func TestInterfaces_ListHasAllOfTheDriverPackage(t *testing.T) {
	var names []string
	for name := range classifiedHere() {
		names = append(names, name)
	}
	slices.Sort(names)
	if got := driverInterfaces(t); !slices.Equal(got, names) {
		t.Errorf("database/sql/driver has\n%q\nclassified are\n%q", got, names)
	}
}

func TestInterfaces_WrapperHasThoseOfTheList(t *testing.T) {
	for conn := range fakedb.AllConn + 1 {
		checkPlaces(t, shape{conn: conn}, onConn, int(conn))
	}
	for stmt := range fakedb.AllStmt + 1 {
		checkPlaces(t, shape{stmt: stmt}, onStmt, int(stmt))
	}
	for rows := range allRowsHere + 1 {
		checkPlaces(t, shape{rows: rows}, onRows, int(rows))
	}
	for _, is := range []bool{false, true} {
		fake := fakedb.New(fakedb.Config{DriverContext: is, Closer: is})
		checkPlace(t, onDriver, 0, otelpool.NewDriver(fake.Driver()))
		checkPlace(t, onConnector, 0, otelpool.NewConnector(fake.Connector()))
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

// classifiedHere is what is classified of the Go release that the test runs on.
func classifiedHere() map[string][]place {
	all := maps.Clone(classified)
	maps.Copy(all, classifiedSince127)
	return all
}

// checkPlaces checks the wrapped object of one kind over a driver of a shape.
func checkPlaces(t *testing.T, sh shape, on kind, bits int) {
	t.Helper()
	fake := fakedb.New(fakedb.Config{Conn: sh.conn, Stmt: sh.stmt, Rows: sh.rows, Quiet: true})
	c := connect(t, fake)
	defer func() { _ = c.Close() }()
	if on == onConn {
		checkPlace(t, on, bits, c)
		return
	}
	s, err := c.Prepare("")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if on == onStmt {
		checkPlace(t, on, bits, s)
		return
	}
	r, err := s.(driver.StmtQueryContext).QueryContext(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	checkPlace(t, on, bits, r)
}

// checkPlace compares a wrapped object with the table; bits is what the driver
// has.
func checkPlace(t *testing.T, on kind, bits int, wrapped any) {
	t.Helper()
	for name, places := range classifiedHere() {
		for _, p := range places {
			if p.on != on {
				continue
			}
			want := p.shown == always || p.shown == exactly && bits&p.bits != 0
			if got := p.has(wrapped); got != want {
				t.Errorf("%s on a %s that has %#b: got %t, want %t: it is shown %s, for %s", name, on, bits, got, want, p.shown, p.reason)
			}
		}
	}
}

// connect returns a wrapped connection. Its pool ends with the test.
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
		// One type may be defined as another.
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
