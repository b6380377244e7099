package otelpool_test

import (
	"context"
	"go/ast"
	"go/token"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
)

// TestClosingStatementsAndConnectionsDoNotWaitForEachOther is about the locks of
// database/sql. sql.Stmt.Close holds that of the DB while it waits for those of
// the connections; a connection that is being closed holds its own, so a call of the
// DB at that moment may wait for ever.
func TestClosingStatementsAndConnectionsDoNotWaitForEachOther(t *testing.T) {
	cfg := full
	cfg.Quiet = true
	fake := fakedb.New(cfg)
	db := otelpool.OpenDB(fake.Connector())
	defer db.Close()
	var together sync.WaitGroup
	fake.On(fakedb.StmtExec, func(context.Context, string) error {
		together.Done()
		together.Wait()
		return nil
	})
	for range 300 {
		db.SetMaxIdleConns(8)
		db.SetMaxOpenConns(8) // all are held at once, so that each release and each acquire asks the DB
		s, err := db.Prepare("x")
		noError(t, err)
		var all sync.WaitGroup
		together.Add(8) // eight executions at once prepare it on eight connections
		for range 8 {
			all.Go(func() { _, _ = s.Exec() })
		}
		all.Wait()
		together.Add(2)
		all.Go(func() { together.Done(); together.Wait(); db.SetMaxIdleConns(-1) })
		all.Go(func() { together.Done(); together.Wait(); _ = s.Close() })
		all.Wait()
	}
}

// TestLockOrder_IsThatOfTheComment compares the locks in the comment of type pool with those that
// the code has, and with the order in which it takes them.
func TestLockOrder_IsThatOfTheComment(t *testing.T) {
	folders := []string{"poolinfo"}
	internal, err := os.ReadDir("internal")
	noError(t, err)
	for _, d := range internal {
		if d.Name() != "fakedb" && d.Name() != "process" { // they serve tests
			folders = append(folders, "internal/"+d.Name())
		}
	}
	w, err := newLockWalk("github.com/otelpool/otelpool", folders...)
	noError(t, err)
	for _, at := range w.unknown {
		t.Errorf("%s: cannot find the lock or the method that is called here", at)
	}

	order, leaves := locksOfComment(w.files)
	rank := map[string]int{}
	for i, lock := range order {
		rank[lock] = i
	}
	ours := slices.DeleteFunc(slices.Clone(order), isForeignLock)
	missing := map[string]int{}
	for _, lock := range w.names {
		missing[lock]++
	}
	for _, lock := range ours {
		missing[lock]--
	}
	for lock, n := range missing {
		if n != 0 {
			t.Errorf("%s: %+d times in the code, compared with the comment", lock, n)
		}
	}

	isOuter := map[string]bool{}
	for _, n := range w.nestings() {
		isOuter[n.outer] = true
		outer, ok := rank[n.outer]
		if inner, has := rank[n.inner]; !ok || !has || outer >= inner {
			t.Errorf("%s: %s is taken while %s is held; in the comment it does not stand below it", n.at, n.inner, n.outer)
		}
		if leaves[n.outer] {
			t.Errorf("%s: %s is taken while %s is held, which the comment calls a leaf", n.at, n.inner, n.outer)
		}
	}
	for _, lock := range ours {
		if !isOuter[lock] && !leaves[lock] {
			t.Errorf("no lock is taken while %s is held; the comment does not call it a leaf", lock)
		}
	}
}

// locksOfComment returns the locks in the comment of type pool, in its order: the first word of an
// indented line that has a dot in it, and after the word "leaves" every word of an indented line.
func locksOfComment(files []*ast.File) (order []string, leaves map[string]bool) {
	leaves = map[string]bool{}
	inLeaves := false
	for line := range strings.Lines(commentOfPool(files)) {
		text, indented := strings.CutPrefix(line, "//\t")
		if !indented {
			inLeaves = inLeaves || strings.Contains(line, "leaves")
			continue
		}
		words := strings.Fields(text)
		if !inLeaves && len(words) > 0 {
			words = words[:1]
		}
		for _, lock := range words {
			if strings.Contains(lock, ".") {
				order = append(order, lock)
				leaves[lock] = inLeaves
			}
		}
	}
	return order, leaves
}

func commentOfPool(files []*ast.File) string {
	var text strings.Builder
	for _, f := range files {
		for _, d := range f.Decls {
			d, ok := d.(*ast.GenDecl)
			if !ok || d.Tok != token.TYPE || d.Specs[0].(*ast.TypeSpec).Name.Name != "pool" {
				continue
			}
			for _, c := range d.Doc.List {
				text.WriteString(c.Text + "\n")
			}
		}
	}
	return text.String()
}

// isForeignLock reports whether a lock is another module's: it has the path of its package.
func isForeignLock(lock string) bool { return strings.Contains(lock, "/") }
