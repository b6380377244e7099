package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// apart lists the folders of the repository that hold no product code: tests,
// benchmarks, demonstrations and tools. A folder that is not listed is product.
var apart = []string{"benchmarks", "browser", "dashboards", "dbtest", "e2e", "example", "libraries", "tools"}

// A house is a repository: one module at its root, other modules in folders that their
// module paths name.
type house struct {
	module   string
	fset     *token.FileSet
	packages []*pkg // in the order of their folders, the root package first
}

// A pkg is the product code of one package, for all systems and releases of Go at once.
type pkg struct {
	dir   string // relative to the root, with slashes; "." is the root package
	path  string // what other packages import
	files []*file
}

// A file is one product file: neither a test nor generated.
type file struct {
	name   string
	lines  int
	syntax *ast.File
}

// load reads the packages of the repository at root.
func load(root string) (*house, error) {
	module, err := modulePath(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	h := &house{module: module, fset: token.NewFileSet()}
	folders := map[string]*pkg{}
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel != "." && !isProductFolder(rel) {
				return fs.SkipDir
			}
			return nil
		}
		if !isProductFile(d.Name()) {
			return nil
		}
		f, err := h.parse(name)
		if err != nil || f == nil {
			return err
		}
		dir := path.Dir(rel)
		p := folders[dir]
		if p == nil {
			p = &pkg{dir: dir, path: path.Join(module, dir)}
			folders[dir] = p
			h.packages = append(h.packages, p)
		}
		p.files = append(p.files, f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(h.packages, func(a, b *pkg) int { return strings.Compare(a.path, b.path) })
	return h, nil
}

// modulePath reads the path of a module from its go.mod.
func modulePath(gomod string) (string, error) {
	text, err := os.ReadFile(gomod)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(name), nil
		}
	}
	return "", fmt.Errorf("%s names no module", gomod)
}

// isProductFolder reports whether product code may be in a folder, given as a path
// relative to the root.
func isProductFolder(rel string) bool {
	base := path.Base(rel)
	return !slices.Contains(apart, rel) && base != "testdata" && base[0] != '.' && base[0] != '_'
}

// isProductFile reports whether a file of this name is Go, no test and not generated.
func isProductFile(base string) bool {
	return strings.HasSuffix(base, ".go") && !strings.HasSuffix(base, "_test.go") && !strings.HasSuffix(base, "_gen.go")
}

// parse reads one file. It returns nil for a file that no build includes, such as a
// generator that is only started with go run.
func (h *house) parse(name string) (*file, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	syntax, err := parser.ParseFile(h.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	if isIgnored(syntax) {
		return nil, nil
	}
	return &file{name: filepath.Base(name), lines: bytes.Count(text, []byte("\n")), syntax: syntax}, nil
}

// isIgnored reports whether a file has the build constraint ignore.
func isIgnored(f *ast.File) bool {
	for _, group := range f.Comments {
		if group.Pos() > f.Package {
			break
		}
		for _, c := range group.List {
			if expr, err := constraint.Parse(c.Text); err == nil {
				tag, ok := expr.(*constraint.TagExpr)
				return ok && tag.Tag == "ignore"
			}
		}
	}
	return false
}

// root is the package at the root of the repository, or nil.
func (h *house) root() *pkg {
	for _, p := range h.packages {
		if p.dir == "." {
			return p
		}
	}
	return nil
}

// short is the name of a package within the repository: its folder, and for the root
// package the last part of the module path.
func (h *house) short(p *pkg) string {
	if p.dir == "." {
		return path.Base(h.module)
	}
	return p.dir
}
