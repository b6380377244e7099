package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// repository writes files, given as name and content in turn, and returns the folder.
func repository(t *testing.T, files ...string) string {
	t.Helper()
	root := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		name := filepath.Join(root, filepath.FromSlash(files[i]))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// rootOf loads the root package of a repository with these Go files.
func rootOf(t *testing.T, files ...string) (*house, *pkg) {
	t.Helper()
	h, err := load(repository(t, append([]string{"go.mod", "module example.org/pool\n"}, files...)...))
	if err != nil {
		t.Fatal(err)
	}
	return h, h.root()
}

func TestRun_PrintsAllFigures(t *testing.T) {
	root := repository(t,
		"go.mod", "module example.org/pool\n\ngo 1.26.0\n",
		"pool.go", "package pool\n\nimport \"example.org/pool/info\"\n\n// Open opens.\nfunc Open() info.Snapshot { return shut() }\n",
		"close.go", "package pool\n\nimport \"example.org/pool/info\"\n\nfunc shut() info.Snapshot { return Open() }\n",
		"option.go", "package pool\n\ntype Option func()\n",
		"pool_test.go", "package pool\n\nfunc notCounted() {}\n",
		"shapes_gen.go", "package pool\n\nfunc NotCounted() {}\n",
		"gen.go", "//go:build ignore\n\npackage main\n\nfunc main() {}\n",
		"info/info.go", "package info\n\ntype Snapshot struct {\n\tOpen, Idle int\n\tname string\n}\n\nfunc (s *Snapshot) String() string { return s.name }\n",
		"tools/main.go", "package main\n\nfunc main() {}\n",
		"info/testdata/broken.go", "package",
	)
	const want = `figures of example.org/pool

packages
        files  lines  largest file
  pool      3     14  pool.go       6
  info      1      8  info.go       8

exported names; methods and fields are those of exported types, and fields are not in the sum
        consts  vars  funcs  types  methods  sum  fields
  pool       0     0      1      1        0    2       0
  info       0     0      0      1        1    2       2

imports
  pool -> info

pool: files above 400 lines: 0

pool: structs with more than 12 fields: 0

pool: types with 10 methods or more: 0

pool: functions longer than 60 lines: 0

pool: files that depend on files
  files                       3
  dependencies                2
  pairs that use each other   1
  files in the largest cycle  2

pool: the largest cycle
  close.go pool.go

pool: pairs that use each other
  close.go -> pool.go  Open
  pool.go -> close.go  shut

pool: all dependencies
  close.go -> pool.go  Open
  pool.go -> close.go  shut
`
	for range 3 {
		var b strings.Builder
		if err := run(&b, root, true); err != nil {
			t.Fatal(err)
		}
		if b.String() != want {
			t.Fatalf("got:\n%s\nwant:\n%s", b.String(), want)
		}
	}
}

func TestRun_RefusesAFolderWithoutAModule(t *testing.T) {
	var b strings.Builder
	for _, root := range []string{
		repository(t, "pool.go", "package pool\n"),
		repository(t, "go.mod", "go 1.26.0\n", "pool.go", "package pool\n"),
		repository(t, "go.mod", "module example.org/pool\n", "info/info.go", "package info\n"),
		repository(t, "go.mod", "module example.org/pool\n", "pool.go", "package pool\nfunc {"),
	} {
		if err := run(&b, root, false); err == nil {
			t.Errorf("%s: no error", root)
		}
	}
}

func TestFigures(t *testing.T) {
	long := "func f() {\n" + strings.Repeat("\t_ = 0\n", 3) + "}\n"
	for _, tt := range []struct {
		name, code string
		figure     func(*house, *pkg) any
		want       string
	}{
		{
			"a file has more lines than the limit", "var x = 1\n",
			func(_ *house, p *pkg) any { return []any{p.filesAbove(2), p.filesAbove(3)} }, "[[{ a.go 3}] []]",
		},
		{
			"an embedded field and a struct without a name count one", "type s struct {\n\tother\n\ta, b int\n\tc struct{ d, e int }\n}\n",
			func(_ *house, p *pkg) any { return []any{p.structsAbove(3), p.structsAbove(4)} }, "[[{s a.go 4}] []]",
		},
		{
			"a struct within a function is one", "func f() {\n\ttype s struct{ a, b int }\n}\n",
			func(_ *house, p *pkg) any { return p.structsAbove(1) }, "[{s a.go 2}]",
		},
		{
			"methods of a pointer and of a generic type", "func (s *s[T]) a() {}\nfunc (s s[T]) b() {}\nfunc (t t) a() {}\n",
			func(_ *house, p *pkg) any { return []any{p.methodsFrom(2), p.methodsFrom(3)} }, "[[{s in 1 file 2}] []]",
		},
		{
			"a function includes its braces", long,
			func(h *house, p *pkg) any {
				return []any{p.functionsAbove(h.fset, 4), p.functionsAbove(h.fset, 5)}
			}, "[[{f a.go 5}] []]",
		},
		{
			"exported names", "const A, b = 1, 2\nvar C int\nfunc D() {}\ntype E struct {\n\tF, g int\n\tH\n}\ntype i struct{ J int }\n" +
				"func (e E) K() {}\nfunc (e E) l() {}\nfunc (i i) M() {}\ntype N interface{ O(); p() }\ntype Q = E\n",
			func(_ *house, p *pkg) any { return p.api() }, "{1 1 1 3 2 2}",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, p := rootOf(t, "a.go", "package pool\n\n"+tt.code)
			if got := fmt.Sprint(tt.figure(h, p)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestAPI_CountsANameForTwoReleasesOnce(t *testing.T) {
	_, p := rootOf(t,
		"a_go126.go", "//go:build !go1.27\n\npackage pool\n\nfunc Rows() {}\n",
		"a_go127.go", "//go:build go1.27\n\npackage pool\n\nfunc Rows() {}\n")
	if got, want := p.api(), (api{funcs: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestGraph(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files []string
		want  string // dependencies as "from>to:name", in order
		cycle []string
	}{
		{
			"a function, a type, a variable and a constant",
			[]string{"a.go", "func f(t) int { v = c; return v }\n", "b.go", "type t int\nvar v int\nconst c = 1\n"},
			"a>b:c a>b:t a>b:v", nil,
		},
		{
			"a local name hides the one of the package",
			[]string{"a.go", "func f() { v := 1; _ = v }\n", "b.go", "var v int\n"},
			"", nil,
		},
		{
			"a key of a struct is no constant, a key of a map is one",
			[]string{"a.go", "type s struct{ one int }\nvar x, y = s{one: 1}, map[int]s{two: {one: 2}}\n", "b.go", "const one, two = 1, 2\n"},
			"a>b:two", nil,
		},
		{
			"a method needs the file that declares it, and its receiver the file of the type",
			[]string{"a.go", "func f(x t) { x.m() }\n", "b.go", "type t int\n", "c.go", "func (x *t) m() {}\n"},
			"a>b:t a>c:t.m c>b:t", nil,
		},
		{
			"two types have a method of the same name",
			[]string{"a.go", "func f(x t) { x.m() }\n", "b.go", "type t int\n\nfunc (t) m() {}\n", "c.go", "type u int\n\nfunc (u) m() {}\n"},
			"a>b:t a>b:t.m", nil,
		},
		{
			"a method of an embedded type",
			[]string{"a.go", "type s struct{ t }\n\nfunc f(x s) { x.m() }\n", "b.go", "type t int\n\nfunc (t) m() {}\n"},
			"a>b:t a>b:t.m", nil,
		},
		{
			"a value from another package",
			[]string{"a.go", "import \"sync/atomic\"\n\nvar p atomic.Value\n\nfunc f() { p.Load().m(); p.Load().n(); p.Load().String() }\n", "b.go", "type t struct{ n func() }\n\nfunc (t) m() {}\nfunc (t) n() {}\nfunc (t) String() {}\n"},
			"a>b:t.m", nil,
		},
		{
			"a name that two releases of Go declare differently",
			[]string{"a.go", "func f() { g() }\n", "b.go", "func g() { f() }\n", "c.go", "func g() {}\n"},
			"a>b:g a>c:g b>a:f",
			[]string{"a.go", "b.go"},
		},
		{
			"the larger of two cycles",
			[]string{
				"a.go", "func a() { b() }\n", "b.go", "func b() { a(); c() }\n",
				"c.go", "func c() { d() }\n", "d.go", "func d() { e() }\n", "e.go", "func e() { c() }\n", "f.go", "func f() { c() }\n",
			},
			"a>b:b b>a:a b>c:c c>d:d d>e:e e>c:c f>c:c",
			[]string{"c.go", "d.go", "e.go"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := slices.Clone(tt.files)
			for i := 1; i < len(files); i += 2 {
				files[i] = "package pool\n\n" + files[i]
			}
			h, p := rootOf(t, files...)
			g := p.graph(h.fset)
			var got []string
			for from, tos := range g {
				for to, names := range tos {
					for name := range names {
						got = append(got, strings.TrimSuffix(from, ".go")+">"+strings.TrimSuffix(to, ".go")+":"+name)
					}
				}
			}
			slices.Sort(got)
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got  %s\nwant %s", s, tt.want)
			}
			if cycle := g.largestCycle(); !slices.Equal(cycle, tt.cycle) {
				t.Errorf("cycle: got %v, want %v", cycle, tt.cycle)
			}
		})
	}
}
