package otelpool_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "regenerate the files of the folder api from the exported names")

// apiPackages are the packages that programs import, and the folders that they are in.
var apiPackages = map[string]string{
	"otelpool":  ".",
	"poolinfo":  "poolinfo",
	"poolz":     "poolz",
	"otelmysql": "otelmysql",
	"otelpgx":   "otelpostgres/otelpgx",
	"otelpq":    "otelpostgres/otelpq",
}

const modulePath = "github.com/otelpool/otelpool"

func TestAPI_IsThatOfTheFiles(t *testing.T) {
	for name, folder := range apiPackages {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
				return // the module was downloaded, and this package is in another
			}
			file := filepath.Join("api", name+".txt")
			want := exportedAPI(t, folder)
			if *update {
				noError(t, os.WriteFile(file, []byte(strings.Join(want, "\n")+"\n"), 0o644))
			}
			text, err := os.ReadFile(file)
			noError(t, err)
			got := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
			for _, line := range want {
				if !slices.Contains(got, line) {
					t.Errorf("%s lacks: %s", file, line)
				}
			}
			for _, line := range got {
				if !slices.Contains(want, line) {
					t.Errorf("the package lacks: %s", line)
				}
			}
			if !t.Failed() && !slices.Equal(got, want) {
				t.Errorf("%s is not sorted, or has a line twice", file)
			}
			if t.Failed() {
				t.Log("If the change is meant, see docs/stability.md, then: go test . -run TestAPI -update")
			}
		})
	}
}

func TestAPI_EveryNameIsUsedOutsideItsPackage(t *testing.T) {
	used := map[string]bool{}
	noError(t, filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case strings.HasSuffix(file, "_test.go"), strings.HasSuffix(file, ".go") && inOtherModule(file):
			return usedNames(file, used)
		}
		return nil
	}))
	for _, name := range []string{"otelpool", "poolinfo"} {
		for _, line := range exportedAPI(t, apiPackages[name]) {
			kind, rest, _ := strings.Cut(line, " ")
			if kind == "field" || kind == "method" {
				continue
			}
			if one := name + "." + regexp.MustCompile(`^\w+`).FindString(rest); !used[one] {
				t.Errorf("no example, no test outside the package and no other module uses %s", one)
			}
		}
	}
}

// inOtherModule reports whether a file is in a folder with a go.mod of its own.
func inOtherModule(file string) bool {
	for dir := filepath.Dir(file); dir != "."; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return true
		}
	}
	return false
}

// usedNames adds the names of the root package and of poolinfo that a file uses.
func usedNames(file string, used map[string]bool) error {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	names := map[string]string{} // by the name in the file
	for _, i := range f.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return err
		}
		if name := path[strings.LastIndex(path, "/")+1:]; path == modulePath || path == modulePath+"/poolinfo" {
			names[name] = name
			if i.Name != nil {
				names[i.Name.Name] = name
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && names[x.Name] != "" {
				used[names[x.Name]+"."+s.Sel.Name] = true
			}
		}
		return true
	})
	return nil
}

// exportedAPI has a sorted line for each exported name of the package in a folder. Names of
// parameters, and values of constants, are left out.
func exportedAPI(t *testing.T, folder string) []string {
	t.Helper()
	p, err := build.Default.ImportDir(folder, 0)
	noError(t, err)
	a := api{fset: token.NewFileSet()}
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(a.fset, filepath.Join(folder, name), nil, parser.SkipObjectResolution)
		noError(t, err)
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				a.function(d)
			case *ast.GenDecl:
				a.declaration(d)
			}
		}
	}
	slices.Sort(a.lines)
	return a.lines
}

type api struct {
	fset  *token.FileSet
	lines []string
}

func (a *api) add(format string, args ...any) {
	a.lines = append(a.lines, fmt.Sprintf(format, args...))
}

func (a *api) function(d *ast.FuncDecl) {
	if !d.Name.IsExported() {
		return
	}
	signature := strings.TrimPrefix(a.typeText(d.Type), "func")
	if d.Recv == nil {
		a.add("func %s%s", d.Name.Name, signature)
		return
	}
	receiver := a.typeText(d.Recv.List[0].Type)
	if ast.IsExported(strings.TrimPrefix(receiver, "*")) {
		a.add("method (%s) %s%s", receiver, d.Name.Name, signature)
	}
}

func (a *api) declaration(d *ast.GenDecl) {
	var last ast.Expr // the type of the constant above, which one without a value repeats
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() {
				a.typeOf(s)
			}
		case *ast.ValueSpec:
			if s.Type != nil || len(s.Values) > 0 {
				last = s.Type
			}
			for i, name := range s.Names {
				if !name.IsExported() {
					continue
				}
				switch {
				case last != nil:
					a.add("%s %s %s", d.Tok, name.Name, a.typeText(last))
				case i < len(s.Values):
					a.add("%s %s = %s", d.Tok, name.Name, a.text(s.Values[i]))
				}
			}
		}
	}
}

func (a *api) typeOf(s *ast.TypeSpec) {
	name := s.Name.Name
	switch t := s.Type.(type) {
	case *ast.StructType:
		a.add("type %s struct", name)
		for _, f := range t.Fields.List {
			text := a.typeText(f.Type)
			if embedded := text[strings.LastIndexAny(text, "*.")+1:]; f.Names == nil && ast.IsExported(embedded) {
				a.add("field %s.%s %s (embedded)", name, embedded, text)
			}
			for _, one := range f.Names {
				if one.IsExported() {
					a.add("field %s.%s %s", name, one.Name, text)
				}
			}
		}
	case *ast.InterfaceType:
		closed := "" // others may implement it
		for _, f := range t.Methods.List {
			switch {
			case f.Names == nil:
				a.add("method (%s) %s (embedded)", name, a.typeText(f.Type))
			case f.Names[0].IsExported():
				a.add("method (%s) %s%s", name, f.Names[0].Name, strings.TrimPrefix(a.typeText(f.Type), "func"))
			default:
				closed = " with unexported methods"
			}
		}
		a.add("type %s interface%s", name, closed)
	default:
		alias := ""
		if s.Assign.IsValid() {
			alias = "= "
		}
		a.add("type %s %s%s", name, alias, a.typeText(t))
	}
}

// typeText is the text of a type on one line, without the names of parameters.
func (a *api) typeText(t ast.Expr) string {
	ast.Inspect(t, func(n ast.Node) bool {
		if f, ok := n.(*ast.FuncType); ok {
			withoutNames(f.Params)
			withoutNames(f.Results)
		}
		return true
	})
	return a.text(t)
}

// withoutNames replaces a, b T by T, T.
func withoutNames(l *ast.FieldList) {
	if l == nil {
		return
	}
	var types []*ast.Field
	for _, f := range l.List {
		for range max(len(f.Names), 1) {
			types = append(types, &ast.Field{Type: f.Type})
		}
	}
	l.List = types
}

func (a *api) text(n ast.Node) string {
	var b bytes.Buffer
	if err := printer.Fprint(&b, a.fset, n); err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
