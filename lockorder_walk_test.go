package otelpool_test

import (
	"cmp"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// lockOfDB is the lock that the methods of a *sql.DB take.
const lockOfDB = "database/sql.DB.mu"

// stubs are the parts of the standard library that lead from one lock to another. All other
// packages from outside the module are empty to a lockWalk.
var stubs = map[string]string{
	"sync": `package sync
		type Mutex struct{}
		func (*Mutex) Lock()
		func (*Mutex) TryLock() bool
		func (*Mutex) Unlock()
		type RWMutex struct{ Mutex }
		func (*RWMutex) RLock()
		func (*RWMutex) TryRLock() bool
		func (*RWMutex) RUnlock()`,
	"sync/atomic": `package atomic
		type Pointer[T any] struct{ p *T }
		func (*Pointer[T]) Load() *T
		func (*Pointer[T]) Swap(*T) *T`,
	"weak": `package weak
		type Pointer[T any] struct{ p *T }
		func Make[T any](*T) Pointer[T]
		func (Pointer[T]) Value() *T`,
	"database/sql": `package sql
		type DB struct{}
		func Open(string, string) (*DB, error)
		func OpenDB(any) *DB`,
}

// lockWalk reads packages of the module and finds which locks are taken while another is held.
//
// It follows static calls. A call of a function value may run any function of that type that is used
// as a value. A function that is passed to another module runs there. Calls of interfaces are not
// followed: they lead to the driver and to OpenTelemetry.
type lockWalk struct {
	module   string // the path of the root package
	fset     *token.FileSet
	info     types.Info
	packages map[string]*types.Package
	files    []*ast.File

	names     map[*types.Var]string // of the locks: package.Type.field, the root without a package
	functions map[*types.Func]*lockFunc
	literals  map[*ast.FuncLit]*lockFunc
	values    []lockValue
	unknown   []token.Position // calls of a lock or a method that could not be found
}

// lockFunc is what a function does with locks.
type lockFunc struct {
	steps []lockStep
	held  []heldLock
	takes map[string]bool // directly and through calls
}

// lockStep takes a lock or calls one of some functions.
type lockStep struct {
	at    token.Pos
	lock  string
	calls []*lockFunc
}

// heldLock is the part of a function in which a lock is held.
type heldLock struct {
	lock     string
	from, to token.Pos
}

// lockValue is a function that is used as a value.
type lockValue struct {
	signature *types.Signature
	run       *lockFunc
}

// nesting is a lock that may be taken while another is held.
type nesting struct {
	outer, inner string
	at           token.Position // of the call or the lock
}

// newLockWalk reads the root package of a module, in the working directory, and packages in folders
// below it.
func newLockWalk(module string, folders ...string) (*lockWalk, error) {
	w := &lockWalk{
		module:   module,
		fset:     token.NewFileSet(),
		packages: map[string]*types.Package{},
		info: types.Info{
			Types: map[ast.Expr]types.TypeAndValue{},
			Defs:  map[*ast.Ident]types.Object{},
			Uses:  map[*ast.Ident]types.Object{},
		},
		names:     map[*types.Var]string{},
		functions: map[*types.Func]*lockFunc{},
		literals:  map[*ast.FuncLit]*lockFunc{},
	}
	for _, folder := range append(folders, "") {
		if _, err := w.Import(path.Join(module, folder)); err != nil {
			return nil, err
		}
	}
	for _, f := range w.files {
		w.declare(f)
	}
	for _, f := range w.files {
		w.findValues(f)
	}
	for _, f := range w.files {
		for _, d := range f.Decls {
			f := &lockFunc{} // for the function literals of a variable
			if fn, ok := d.(*ast.FuncDecl); ok {
				f = w.functions[w.definition(fn)]
			}
			w.read(f, d)
		}
	}
	w.followCalls()
	return w, nil
}

// Import type-checks a package. Errors are ignored: they follow from what the stubs leave out.
func (w *lockWalk) Import(name string) (*types.Package, error) {
	if p := w.packages[name]; p != nil {
		return p, nil
	}
	conf := types.Config{Importer: w, Error: func(error) {}}
	var p *types.Package
	switch folder, ours := strings.CutPrefix(name, w.module); {
	case ours:
		files, err := w.parse("." + folder)
		if err != nil {
			return nil, err
		}
		p, _ = conf.Check(name, w.fset, files, &w.info)
		w.files = append(w.files, files...)
	case stubs[name] != "":
		f, err := parser.ParseFile(w.fset, name, stubs[name], 0)
		if err != nil {
			return nil, err
		}
		p, _ = conf.Check(name, w.fset, []*ast.File{f}, nil)
	default:
		p = types.NewPackage(name, path.Base(name))
		p.MarkComplete()
	}
	w.packages[name] = p
	return p, nil
}

// parse reads the product files of a folder that this release of Go builds.
func (w *lockWalk) parse(folder string) (files []*ast.File, err error) {
	all, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		name := one.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		built, err := build.Default.MatchFile(folder, name)
		if err != nil {
			return nil, err
		}
		if !built {
			continue
		}
		f, err := parser.ParseFile(w.fset, filepath.Join(folder, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// declare names the locks of a file and makes a lockFunc for each of its functions.
func (w *lockWalk) declare(f *ast.File) {
	var owner *ast.TypeSpec
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeSpec:
			owner = n
		case *ast.FuncLit:
			w.literals[n] = &lockFunc{}
		case *ast.Ident:
			switch object := w.info.Defs[n].(type) {
			case *types.Func:
				w.functions[object] = &lockFunc{}
			case *types.Var:
				if !isType(object.Type(), "sync", "Mutex", "RWMutex") {
					break
				}
				name := object.Name()
				if owner != nil && n.Pos() < owner.End() {
					name = owner.Name.Name + "." + name
				}
				if p := object.Pkg(); p.Path() != w.module {
					name = p.Name() + "." + name
				}
				w.names[object] = name
			}
		}
		return true
	})
}

// definition returns the function that a declaration declares.
func (w *lockWalk) definition(fn *ast.FuncDecl) *types.Func {
	return w.info.Defs[fn.Name].(*types.Func)
}

// findValues finds the functions that are used otherwise than to call them.
func (w *lockWalk) findValues(f *ast.File) {
	called := map[ast.Expr]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		e, ok := n.(ast.Expr)
		if !ok {
			return true
		}
		switch e := e.(type) {
		case *ast.CallExpr:
			called[generic(e.Fun)] = true
		case *ast.SelectorExpr:
			called[e.Sel] = true // the selector stands for it
		}
		if run := w.functionOf(e); run != nil && !called[generic(e)] {
			if s, ok := w.info.TypeOf(e).(*types.Signature); ok {
				w.values = append(w.values, lockValue{s, run})
			}
		}
		return true
	})
}

// generic returns the name of the function without parentheses and type arguments.
func generic(e ast.Expr) ast.Expr {
	e = ast.Unparen(e)
	switch instance := e.(type) {
	case *ast.IndexExpr:
		return instance.X
	case *ast.IndexListExpr:
		return instance.X
	}
	return e
}

// object returns what an expression names, or nil.
func (w *lockWalk) object(e ast.Expr) types.Object {
	switch e := generic(e).(type) {
	case *ast.Ident:
		return w.info.Uses[e]
	case *ast.SelectorExpr:
		return w.info.Uses[e.Sel]
	}
	return nil
}

// functionOf returns the function of the module that an expression is, or nil.
func (w *lockWalk) functionOf(e ast.Expr) *lockFunc {
	if literal, ok := ast.Unparen(e).(*ast.FuncLit); ok {
		return w.literals[literal]
	}
	if fn, ok := w.object(e).(*types.Func); ok {
		return w.functions[fn.Origin()]
	}
	return nil
}

// read fills f with the steps of the function in a node.
func (w *lockWalk) read(f *lockFunc, node ast.Node) {
	if fn, ok := node.(*ast.FuncDecl); ok && strings.HasSuffix(fn.Name.Name, "Locked") && fn.Recv != nil {
		for _, lock := range w.locksIn(w.definition(fn).Signature().Recv().Type()) {
			f.held = append(f.held, heldLock{lock, fn.Pos(), fn.End()})
		}
	}
	var (
		started  = map[*ast.CallExpr]bool{} // by a go statement
		deferred = map[*ast.CallExpr]bool{}
		unlocks  = map[string][]token.Pos{}
	)
	ast.Inspect(node, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			w.read(w.literals[n], n.Body)
			return false
		case *ast.GoStmt:
			started[n.Call] = true
		case *ast.DeferStmt:
			deferred[n.Call] = true
		case *ast.CallExpr:
			method, lock := w.lockCall(n)
			isUnlock := method == "Unlock" || method == "RUnlock"
			switch {
			case started[n]:
			case lock == "":
				f.steps = append(f.steps, lockStep{at: n.Pos(), calls: w.callees(n)})
			case isUnlock && deferred[n]:
				unlocks[lock] = append(unlocks[lock], node.End())
			case isUnlock:
				unlocks[lock] = append(unlocks[lock], n.Pos())
			default:
				f.steps = append(f.steps, lockStep{at: n.Pos(), lock: lock})
				if lock != lockOfDB { // which is free again when the method returns
					f.held = append(f.held, heldLock{lock: lock, from: n.End()})
				}
			}
		}
		return true
	})
	for i := range f.held {
		h := &f.held[i]
		if h.to.IsValid() {
			continue
		}
		// It is held until the last unlock before the lock is taken again. An unlock
		// before that belongs to a return in between.
		next := node.End()
		for _, other := range f.held[i+1:] {
			if other.lock == h.lock {
				next = other.from
				break
			}
		}
		for _, at := range unlocks[h.lock] {
			if h.from < at && at <= next {
				h.to = at
			}
		}
		if !h.to.IsValid() {
			h.to = node.End()
		}
	}
}

// locksIn returns the locks that are fields of a type.
func (w *lockWalk) locksIn(t types.Type) (locks []string) {
	if s, ok := elem(t).Underlying().(*types.Struct); ok {
		for field := range s.Fields() {
			if name := w.names[field.Origin()]; name != "" {
				locks = append(locks, name)
			}
		}
	}
	return locks
}

// lockCall returns the lock that a call takes or releases, and the method, or "" for any other
// call.
func (w *lockWalk) lockCall(call *ast.CallExpr) (method, lock string) {
	s, ok := generic(call.Fun).(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	method = s.Sel.Name
	if isType(elem(w.info.TypeOf(s.X)), "database/sql", "DB") && method != "Driver" {
		return method, lockOfDB
	}
	switch method {
	case "Lock", "TryLock", "Unlock", "RLock", "TryRLock", "RUnlock":
		if v, ok := w.object(s.X).(*types.Var); ok {
			lock = w.names[v.Origin()]
		}
		if lock == "" {
			w.unknown = append(w.unknown, w.fset.Position(call.Pos()))
		}
	}
	return method, lock
}

// callees returns the functions of the module that a call may run.
func (w *lockWalk) callees(call *ast.CallExpr) (all []*lockFunc) {
	if run := w.functionOf(call.Fun); run != nil {
		return []*lockFunc{run}
	}
	callee, known := w.info.Types[call.Fun]
	if known && (callee.IsType() || callee.IsBuiltin()) {
		return nil
	}
	if _, isFunc := w.object(call.Fun).(*types.Func); !isFunc && known && callee.IsValue() {
		if s, ok := callee.Type.Underlying().(*types.Signature); ok {
			for _, v := range w.values {
				if mayRun(s, v.signature) {
					all = append(all, v.run)
				}
			}
			return all
		}
	}
	if s, ok := generic(call.Fun).(*ast.SelectorExpr); ok && !s.Sel.IsExported() && w.object(s) == nil {
		w.unknown = append(w.unknown, w.fset.Position(call.Pos())) // ours, behind a type that has no stub
	}
	for _, arg := range call.Args {
		if run := w.functionOf(arg); run != nil {
			all = append(all, run)
		}
	}
	return all
}

// mayRun reports whether a variable of one type may hold a function of another.
func mayRun(variable, function *types.Signature) bool {
	same := func(a, b *types.Tuple) bool {
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			x, y := a.At(i).Type(), b.At(i).Type()
			if !isOpen(x) && !isOpen(y) && !types.Identical(x, y) {
				return false
			}
		}
		return true
	}
	return same(variable.Params(), function.Params()) && same(variable.Results(), function.Results())
}

// isOpen reports whether a type is not known, or depends on a type argument.
func isOpen(t types.Type) bool {
	t = elem(t)
	_, isParam := t.(*types.TypeParam)
	return isParam || t == types.Typ[types.Invalid]
}

// elem returns what t points to, or t.
func elem(t types.Type) types.Type {
	if p, ok := t.(*types.Pointer); ok {
		return p.Elem()
	}
	return t
}

// isType reports whether t is one of the named types of a package.
func isType(t types.Type, pkg string, names ...string) bool {
	n, ok := t.(*types.Named)
	return ok && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == pkg && slices.Contains(names, n.Obj().Name())
}

// all returns every function.
func (w *lockWalk) all() []*lockFunc {
	return slices.AppendSeq(slices.Collect(maps.Values(w.functions)), maps.Values(w.literals))
}

// followCalls finds the locks that each function may take.
func (w *lockWalk) followCalls() {
	all := w.all()
	for _, f := range all {
		f.takes = map[string]bool{}
		for _, s := range f.steps {
			if s.lock != "" {
				f.takes[s.lock] = true
			}
		}
	}
	for grown := true; grown; {
		grown = false
		for _, f := range all {
			before := len(f.takes)
			for _, s := range f.steps {
				for _, c := range s.calls {
					maps.Copy(f.takes, c.takes)
				}
			}
			grown = grown || len(f.takes) > before
		}
	}
}

// nestings returns the locks that may be taken while another is held.
func (w *lockWalk) nestings() (found []nesting) {
	for _, f := range w.all() {
		for _, h := range f.held {
			for _, s := range f.steps {
				if s.at < h.from || s.at >= h.to {
					continue
				}
				inner := map[string]bool{}
				if s.lock != "" {
					inner[s.lock] = true
				}
				for _, c := range s.calls {
					maps.Copy(inner, c.takes)
				}
				for lock := range inner {
					found = append(found, nesting{h.lock, lock, w.fset.Position(s.at)})
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b nesting) int {
		return cmp.Or(
			cmp.Compare(a.at.Filename, b.at.Filename), a.at.Offset-b.at.Offset,
			cmp.Compare(a.outer, b.outer), cmp.Compare(a.inner, b.inner),
		)
	})
	return found
}
