package benchmarks

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	command "os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	xsam "github.com/XSAM/otelsql"
)

// migrationPage returns the sections of docs/migrating.md by the peer in their heading,
// and under "" all of it.
func migrationPage(t *testing.T) map[string]string {
	t.Helper()
	content, err := os.ReadFile("../docs/migrating.md")
	ok(t, err)
	page := map[string]string{"": string(content)}
	for section := range strings.SplitSeq(string(content), "\n## ") {
		heading, _, _ := strings.Cut(section, "\n")
		for _, m := range migrations {
			if strings.Contains(strings.ToLower(heading), strings.ToLower(m.peer)) {
				page[m.peer] = section
			}
		}
	}
	if len(page) != 1+len(migrations) {
		t.Fatalf("docs/migrating.md has sections of %d peers, want %d", len(page)-1, len(migrations))
	}
	return page
}

// TestMigration_ThePageListsEveryOption compares the options of each peer with the first
// column of its table of options. The source of the peer has all of them.
func TestMigration_ThePageListsEveryOption(t *testing.T) {
	page := migrationPage(t)
	for _, m := range migrations {
		t.Run(m.peer, func(t *testing.T) {
			var want []string
			for _, f := range exportedFunctions(t, peer(t, m.peer).Module) {
				if slices.Contains(m.options, f.result) {
					want = append(want, f.name)
				}
			}
			if m.peer == XSAM {
				fields := reflect.TypeFor[xsam.SpanOptions]()
				for i := range fields.NumField() {
					want = append(want, "SpanOptions."+fields.Field(i).Name)
				}
				// It takes the fields, which the table has one by one.
				want = slices.DeleteFunc(want, func(name string) bool { return name == "WithSpanOptions" })
			}
			slices.Sort(want)
			_, table, _ := strings.Cut(page[m.peer], "\n| option | here |\n")
			table, _, _ = strings.Cut(table, "\n\n")
			var got []string
			for line := range strings.Lines(table) {
				first := strings.Split(line, "|")[1]
				for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(first, -1) {
					got = append(got, name[1])
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("the table has the options\n%q\nwant\n%q", got, want)
			}
		})
	}
}

type function struct{ name, result string }

// exportedFunctions are those of a module's root package that have one result of a named
// type of that package.
func exportedFunctions(t *testing.T, module string) (all []function) {
	t.Helper()
	out, err := command.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", module).Output()
	ok(t, err)
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "*.go"))
	ok(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		ok(t, err)
		for _, d := range file.Decls {
			f, isFunc := d.(*ast.FuncDecl)
			if !isFunc || f.Recv != nil || !f.Name.IsExported() || f.Type.Results.NumFields() != 1 {
				continue
			}
			if result, named := f.Type.Results.List[0].Type.(*ast.Ident); named {
				all = append(all, function{f.Name.Name, result.Name})
			}
		}
	}
	return all
}

// importsOfPage are the packages that code in docs/migrating.md uses, by name. The name
// otelsql stands for the package of the section.
var importsOfPage = map[string]string{
	"context":   "context",
	"driver":    "database/sql/driver",
	"log":       "log",
	"otelpool":  "github.com/otelpool/otelpool",
	"os":        "os",
	"otelmysql": "github.com/otelpool/otelpool/otelmysql",
	"poolinfo":  "github.com/otelpool/otelpool/poolinfo",
	"sql":       "database/sql",
}

// givenToPage are the variables that code in the page may use without declaring them.
const givenToPage = "ctx context.Context, dsn string, connector driver.Connector, db *sql.DB"

// TestMigration_ThePagesCodeCompiles compiles each piece of Go in docs/migrating.md as the
// body of a function.
func TestMigration_ThePagesCodeCompiles(t *testing.T) {
	page := migrationPage(t)
	dir := t.TempDir()
	home, err := os.Getwd()
	ok(t, err)
	replaced := map[string]string{}
	blocks := regexp.MustCompile("(?ms)^```go\n(.*?)^```")
	for _, found := range blocks.FindAllStringSubmatchIndex(page[""], -1) {
		text := page[""][found[2]:found[3]]
		line := 1 + strings.Count(page[""][:found[2]], "\n")
		module := ""
		for _, m := range migrations {
			if strings.Contains(page[m.peer], text) {
				module = peer(t, m.peer).Module
			}
		}
		name := fmt.Sprintf("line%d.go", line)
		ok(t, os.WriteFile(filepath.Join(dir, name), []byte(snippetFile(t, text, line, module)), 0o600))
		// The compiler sees a package of this module.
		replaced[filepath.Join(home, "migrating", name)] = filepath.Join(dir, name)
	}
	if len(replaced) < 2*len(migrations) {
		t.Fatalf("%d pieces of Go were found", len(replaced))
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	ok(t, err)
	file := filepath.Join(dir, "overlay.json")
	ok(t, os.WriteFile(file, overlay, 0o600))
	out, err := command.CommandContext(t.Context(), "go", "build", "-overlay", file, "-o", os.DevNull, "./migrating").CombinedOutput()
	if err != nil {
		t.Error(err, string(out))
	}
}

func snippetFile(t *testing.T, text string, line int, module string) string {
	t.Helper()
	body := fmt.Sprintf("//line docs/migrating.md:%d\n%s", line, text)
	parsed, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc f() {\n"+body+"\n}", 0)
	if err != nil {
		t.Fatalf("docs/migrating.md:%d: %v", line, err)
	}
	imports, declared := map[string]string{}, map[string]bool{}
	for _, name := range []string{"context", "driver", "sql"} { // of the given variables
		imports[name] = importsOfPage[name]
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				if name, isName := left.(*ast.Ident); isName && n.Tok == token.DEFINE && name.Name != "_" {
					declared[name.Name] = true
				}
			}
		case *ast.SelectorExpr:
			name, isName := n.X.(*ast.Ident)
			if !isName || name.Obj != nil {
				break
			}
			if name.Name == "otelsql" {
				imports["otelsql"] = module
			} else if path := importsOfPage[name.Name]; path != "" {
				imports[name.Name] = path
			}
		}
		return true
	})
	var b strings.Builder
	b.WriteString("package migrating\n\nimport (\n")
	for _, name := range slices.Sorted(maps.Keys(imports)) {
		fmt.Fprintf(&b, "\t%s %q\n", name, imports[name])
	}
	// The block lets the piece declare what is given.
	fmt.Fprintf(&b, ")\n\nfunc Line%d(%s) {\n{\n%s\n", line, givenToPage, body)
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		fmt.Fprintf(&b, "\t_ = %s\n", name)
	}
	b.WriteString("}\n}\n")
	return b.String()
}
