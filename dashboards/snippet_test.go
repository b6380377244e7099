package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// packages are the packages that code in documents uses, by name.
var packages = map[string]string{
	"context":   "context",
	"driver":    "database/sql/driver",
	"errors":    "errors",
	"fmt":       "fmt",
	"http":      "net/http",
	"log":       "log",
	"os":        "os",
	"slog":      "log/slog",
	"sql":       "database/sql",
	"time":      "time",
	"mysql":     "github.com/go-sql-driver/mysql",
	"otelmysql": "github.com/otelpool/otelpool/otelmysql",
	"otelpool":  "github.com/otelpool/otelpool",
	"otelpgx":   "github.com/otelpool/otelpool/otelpostgres/otelpgx",
	"otelpq":    "github.com/otelpool/otelpool/otelpostgres/otelpq",
	"pgx":       "github.com/jackc/pgx/v5",
	"poolinfo":  "github.com/otelpool/otelpool/poolinfo",
	"poolz":     "github.com/otelpool/otelpool/poolz",
	"stdlib":    "github.com/jackc/pgx/v5/stdlib",

	// Libraries, and their generated code for the tests of module libraries.
	"bun":       "github.com/uptrace/bun",
	"dialect":   "entgo.io/ent/dialect",
	"ent":       "github.com/otelpool/otelpool/libraries/shop/ent",
	"entsql":    "entgo.io/ent/dialect/sql",
	"goqu":      "github.com/doug-martin/goqu/v9",
	"gorm":      "gorm.io/gorm",
	"items":     "github.com/otelpool/otelpool/libraries/items",
	"pgdialect": "github.com/uptrace/bun/dialect/pgdialect",
	"postgres":  "gorm.io/driver/postgres",
	"sqlx":      "github.com/jmoiron/sqlx",
	"squirrel":  "github.com/Masterminds/squirrel",
}

// given are the variables that a piece of code in a document may use without declaring
// them.
var given = map[string]string{
	"connector": "driver.Connector",
	"ctx":       "context.Context",
	"db":        "*sql.DB",
	"dsn":       "string",
	"logger":    "*slog.Logger",
	"mux":       "*http.ServeMux",
	"pool":      "*otelpool.DB",
}

func TestDocuments_CodeCompiles(t *testing.T) {
	dir := t.TempDir()
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	replaced := map[string]string{}
	for i, s := range snippets(t) {
		source, err := s.file(i)
		if err != nil {
			t.Errorf("%s: %v\n%s", s.where, err, s.text)
			continue
		}
		name := fmt.Sprintf("snippet%d.go", i)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		// The compiler sees a package of this module.
		replaced[filepath.Join(home, "snippets", name)] = filepath.Join(dir, name)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", file, "-o", os.DevNull, "./snippets").CombinedOutput()
	if err != nil {
		t.Error(err, string(out))
	}
}

// snippet is a piece of Go in a document.
type snippet struct{ where, text string }

func snippets(t *testing.T) (all []snippet) {
	t.Helper()
	go1 := regexp.MustCompile("(?ms)^```go\n(.*?)^```")
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".md") {
			return nil
		}
		if path == filepath.Join("..", "docs", "migrating.md") {
			return nil // it uses other wrappers; a test in benchmarks compiles it
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, found := range go1.FindAllStringSubmatchIndex(string(content), -1) {
			line := 1 + strings.Count(string(content[:found[2]]), "\n")
			all = append(all, snippet{fmt.Sprintf("%s:%d", strings.TrimPrefix(path, "../"), line), string(content[found[2]:found[3]])})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 3 {
		t.Fatalf("%d pieces of Go were found", len(all))
	}
	return all
}

// file is a source file with the snippet as the body of a function. Its arguments are
// the variables that the snippet does not declare.
func (s snippet) file(i int) (string, error) {
	body := fmt.Sprintf("//line %s\n%s", s.where, s.text)
	parsed, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc f() {\n"+body+"\n}", 0)
	if err != nil {
		return "", err
	}
	imports, arguments, declared := map[string]bool{}, map[string]bool{}, map[string]bool{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if a, ok := n.(*ast.AssignStmt); ok && a.Tok == token.DEFINE {
			for _, left := range a.Lhs {
				if name, ok := left.(*ast.Ident); ok && name.Name != "_" {
					declared[name.Name] = true
				}
			}
		}
		return true
	})
	ast.Inspect(parsed, func(n ast.Node) bool {
		name, ok := n.(*ast.Ident)
		if !ok || declared[name.Name] {
			return true
		}
		if packages[name.Name] != "" && name.Obj == nil {
			imports[name.Name] = true
		}
		if what, ok := given[name.Name]; ok {
			arguments[name.Name] = true
			if pkg, _, ok := strings.Cut(strings.TrimLeft(what, "*"), "."); ok {
				imports[pkg] = true
			}
		}
		return true
	})
	var b strings.Builder
	b.WriteString("package snippets\n\nimport (\n")
	for _, name := range slices.Sorted(maps.Keys(imports)) {
		fmt.Fprintf(&b, "\t%s %q\n", name, packages[name])
	}
	fmt.Fprintf(&b, ")\n\nfunc Snippet%d(", i)
	for _, name := range slices.Sorted(maps.Keys(arguments)) {
		fmt.Fprintf(&b, "%s %s, ", name, given[name])
	}
	fmt.Fprintf(&b, ") {\n%s\n", body)
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		fmt.Fprintf(&b, "\t_ = %s\n", name)
	}
	b.WriteString("}\n")
	return b.String(), nil
}
