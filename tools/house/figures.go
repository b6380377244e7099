package main

import (
	"cmp"
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strconv"
)

// A count is a figure of something that has a name and stands in a file.
type count struct {
	name, file string
	n          int
}

// byNumber orders counts from the largest to the smallest, and equal ones by name.
func byNumber(a, b count) int {
	return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.name, b.name), cmp.Compare(a.file, b.file))
}

// lines is the length of the whole package.
func (p *pkg) lines() int {
	n := 0
	for _, f := range p.files {
		n += f.lines
	}
	return n
}

// filesAbove lists the files with more than limit lines, the longest first.
func (p *pkg) filesAbove(limit int) []count {
	var found []count
	for _, f := range p.files {
		if f.lines > limit {
			found = append(found, count{file: f.name, n: f.lines})
		}
	}
	slices.SortFunc(found, byNumber)
	return found
}

// structsAbove lists the named structs with more than limit fields. An embedded field
// counts one, and so does a field that is itself a struct without a name.
func (p *pkg) structsAbove(limit int) []count {
	var found []count
	for _, f := range p.files {
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok && s.Fields.NumFields() > limit {
				found = append(found, count{spec.Name.Name, f.name, s.Fields.NumFields()})
			}
			return true
		})
	}
	slices.SortFunc(found, byNumber)
	return found
}

// methodsFrom lists the types with at least limit methods. In the place of the file is
// the number of files that the methods are in.
func (p *pkg) methodsFrom(limit int) []count {
	methods, files := map[string]int{}, map[string]map[string]bool{}
	for _, f := range p.files {
		for _, d := range f.syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil {
				continue
			}
			typ := receiver(fn)
			methods[typ]++
			if files[typ] == nil {
				files[typ] = map[string]bool{}
			}
			files[typ][f.name] = true
		}
	}
	var found []count
	for typ, n := range methods {
		if n >= limit {
			found = append(found, count{typ, "in " + plural(len(files[typ]), "file"), n})
		}
	}
	slices.SortFunc(found, byNumber)
	return found
}

// functionsAbove lists the functions and methods with more than limit lines, from the
// word func to the closing brace.
func (p *pkg) functionsAbove(fset *token.FileSet, limit int) []count {
	var found []count
	for _, f := range p.files {
		for _, d := range f.syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > limit {
				found = append(found, count{declared(fn), f.name, n})
			}
		}
	}
	slices.SortFunc(found, byNumber)
	return found
}

// receiver is the name of the type that a method belongs to, or "".
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	expr := fn.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.ParenExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

// declared is the name of a function, with its type if it is a method.
func declared(fn *ast.FuncDecl) string {
	if typ := receiver(fn); typ != "" {
		return typ + "." + fn.Name.Name
	}
	return fn.Name.Name
}

// An api counts the exported names of a package. A name that two files declare, for two
// releases of Go, counts once. Behind an alias only the alias counts.
type api struct {
	consts, vars, funcs, types int
	methods                    int // of exported types, interfaces included
	fields                     int // of exported structs, embedded ones included
}

// total leaves out fields: they are many, and come with their struct.
func (a api) total() int { return a.consts + a.vars + a.funcs + a.types + a.methods }

func (p *pkg) api() api {
	var a api
	seen := map[string]bool{}
	add := func(n *int, typ string, id *ast.Ident) {
		key := typ + "." + id.Name
		if id.IsExported() && (typ == "" || ast.IsExported(typ)) && !seen[key] {
			seen[key] = true
			*n++
		}
	}
	for _, f := range p.files {
		for _, d := range f.syntax.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv != nil {
					add(&a.methods, receiver(d), d.Name)
				} else {
					add(&a.funcs, "", d.Name)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.ValueSpec:
						n := &a.vars
						if d.Tok == token.CONST {
							n = &a.consts
						}
						for _, id := range s.Names {
							add(n, "", id)
						}
					case *ast.TypeSpec:
						add(&a.types, "", s.Name)
						switch t := s.Type.(type) {
						case *ast.StructType:
							for _, id := range memberNames(t.Fields) {
								add(&a.fields, s.Name.Name, id)
							}
						case *ast.InterfaceType:
							for _, m := range t.Methods.List {
								for _, id := range m.Names {
									add(&a.methods, s.Name.Name, id)
								}
							}
						}
					}
				}
			}
		}
	}
	return a
}

// memberNames are the names of fields; an embedded one has the name of its type.
func memberNames(l *ast.FieldList) []*ast.Ident {
	var names []*ast.Ident
	for _, f := range l.List {
		names = append(names, f.Names...)
		if len(f.Names) > 0 {
			continue
		}
		typ := f.Type
		if s, ok := typ.(*ast.StarExpr); ok {
			typ = s.X
		}
		switch t := typ.(type) {
		case *ast.Ident:
			names = append(names, t)
		case *ast.SelectorExpr:
			names = append(names, t.Sel)
		}
	}
	return names
}

// imports lists the packages of the repository that p imports, by their short names.
func (h *house) imports(p *pkg) []string {
	found := map[string]bool{}
	for _, f := range p.files {
		for _, spec := range f.syntax.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue
			}
			for _, other := range h.packages {
				if other.path == imported {
					found[h.short(other)] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}
