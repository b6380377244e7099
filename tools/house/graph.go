package main

import (
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"slices"
)

// A graph says for each file which files it depends on, and which of their names it
// uses. It follows functions, types, variables, constants and methods. It leaves out
// fields and the methods of interfaces: to reach one, a file has already used a type or
// a function.
type graph map[string]map[string]map[string]bool

// graph resolves the names of a package with go/types, without reading what the package
// imports. A method that is called on a value from another package, such as an atomic
// pointer, is found by its name if it is unexported and only one type has it.
func (p *pkg) graph(fset *token.FileSet) graph {
	declaredIn := map[string][]string{} // files by name; for a method "Type.name"
	typesWith := map[string][]string{}  // types by the name of a method
	taken := map[string]bool{}          // names of fields
	var syntax []*ast.File
	for _, f := range p.files {
		syntax = append(syntax, f.syntax)
		for _, d := range f.syntax.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				declaredIn[declared(d)] = append(declaredIn[declared(d)], f.name)
				if typ := receiver(d); typ != "" && !slices.Contains(typesWith[d.Name.Name], typ) {
					typesWith[d.Name.Name] = append(typesWith[d.Name.Name], typ)
				}
			case *ast.GenDecl:
				for _, id := range specNames(d) {
					declaredIn[id.Name] = append(declaredIn[id.Name], f.name)
				}
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if s, ok := n.(*ast.StructType); ok {
				for _, id := range memberNames(s.Fields) {
					taken[id.Name] = true
				}
			}
			return true
		})
	}

	info := types.Info{Uses: map[*ast.Ident]types.Object{}}
	// What is imported is unknown, and a name may be declared once for each release of
	// Go: the errors that follow from this say nothing of the package.
	conf := types.Config{Error: func(error) {}}
	checked, _ := conf.Check(p.path, fset, syntax, &info)

	g := graph{}
	for _, f := range p.files {
		g[f.name] = map[string]map[string]bool{}
		use := func(name string) {
			for _, other := range declaredIn[name] {
				if other == f.name {
					return
				}
			}
			for _, other := range declaredIn[name] {
				if g[f.name][other] == nil {
					g[f.name][other] = map[string]bool{}
				}
				g[f.name][other][name] = true
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				use(nameOf(checked, info.Uses[n]))
			case *ast.SelectorExpr:
				name := n.Sel.Name
				if owners := typesWith[name]; info.Uses[n.Sel] == nil && len(owners) == 1 && !ast.IsExported(name) && !taken[name] {
					use(owners[0] + "." + name)
				}
			}
			return true
		})
	}
	return g
}

// nameOf is the name under which the package declares an object at the top of a file, or
// "" if it does not.
func nameOf(p *types.Package, o types.Object) string {
	if o == nil || o.Pkg() != p {
		return ""
	}
	if o.Parent() == p.Scope() {
		return o.Name()
	}
	fn, ok := o.(*types.Func)
	if !ok {
		return ""
	}
	recv := fn.Origin().Signature().Recv()
	if recv == nil {
		return ""
	}
	typ := recv.Type()
	if ptr, ok := typ.(*types.Pointer); ok {
		typ = ptr.Elem()
	}
	named, ok := typ.(*types.Named)
	if !ok {
		return ""
	}
	return named.Obj().Name() + "." + o.Name()
}

func specNames(d *ast.GenDecl) []*ast.Ident {
	var names []*ast.Ident
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.ValueSpec:
			names = append(names, s.Names...)
		case *ast.TypeSpec:
			names = append(names, s.Name)
		}
	}
	return names
}

// edges counts the dependencies of one file on another.
func (g graph) edges() int {
	n := 0
	for _, to := range g {
		n += len(to)
	}
	return n
}

// bothWays lists the pairs of files that use each other.
func (g graph) bothWays() [][2]string {
	var pairs [][2]string
	for _, a := range slices.Sorted(maps.Keys(g)) {
		for _, b := range slices.Sorted(maps.Keys(g[a])) {
			if a < b && g[b][a] != nil {
				pairs = append(pairs, [2]string{a, b})
			}
		}
	}
	return pairs
}

// largestCycle lists the files of the largest strongly connected component: each of them
// depends on each other one, directly or not. Without a cycle it is empty.
func (g graph) largestCycle() []string {
	var (
		largest []string
		stack   []string
		index   = map[string]int{} // when a file was visited, from 1
		low     = map[string]int{} // the earliest file on the stack that is reachable
		onStack = map[string]bool{}
		visit   func(string)
	)
	visit = func(f string) {
		index[f] = len(index) + 1
		low[f] = index[f]
		stack = append(stack, f)
		onStack[f] = true
		for _, to := range slices.Sorted(maps.Keys(g[f])) {
			if index[to] == 0 {
				visit(to)
				low[f] = min(low[f], low[to])
			} else if onStack[to] {
				low[f] = min(low[f], index[to])
			}
		}
		if low[f] < index[f] {
			return
		}
		i := slices.Index(stack, f)
		component := slices.Clone(stack[i:])
		stack = stack[:i]
		for _, c := range component {
			onStack[c] = false
		}
		if len(component) > 1 && len(component) > len(largest) {
			largest = component
		}
	}
	for _, f := range slices.Sorted(maps.Keys(g)) {
		if index[f] == 0 {
			visit(f)
		}
	}
	slices.Sort(largest)
	return largest
}
