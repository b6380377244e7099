package poolinfo

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"
)

func TestClasses_HasEveryConstant(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "class.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want []Class
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 {
			return true
		}
		if typ, ok := v.Type.(*ast.Ident); ok && typ.Name == "Class" {
			name, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Error(err)
			}
			want = append(want, Class(name))
		}
		return true
	})
	if got := Classes(); len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestClass_DescriptionIsEmptyForWhatIsNoClass(t *testing.T) {
	for _, c := range Classes() {
		if c.Description() == "" {
			t.Errorf("%s has no description", c)
		}
	}
	if got := Class("a class that is none").Description(); got != "" {
		t.Errorf("got %q", got)
	}
}

// TestTexts holds the texts of the numbered values: they are attribute values.
func TestTexts(t *testing.T) {
	got := []string{
		State(0).String(), StateFresh.String(), StateIdle.String(), StateHeld.String(), StateClosed.String(), State(99).String(),
		PhaseExecuting.String(), PhaseRows.String(), PhaseTx.String(), PhasePinned.String(),
		SourceNew.String(), SourceReused.String(), SourceOpener.String(),
	}
	for r := range ReasonUnknown {
		got = append(got, Reason(r+1).String())
	}
	want := []string{
		"", "fresh", "idle", "held", "closed", "",
		"executing", "rows", "tx", "pinned",
		"new", "reused", "opener",
		"lifetime", "idle_time", "idle_count", "open_count", "bad", "rollback_discard", "pool_closed", "unknown",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
