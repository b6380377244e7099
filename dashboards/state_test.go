package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestStates_AreThoseOfThePage compares the words, the order and the meanings of the
// states with those in the source of poolz.
func TestStates_AreThoseOfThePage(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../poolz/state.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var page [][2]string       // word and meaning of each constant
	var named, ranked []string // the constants, and the list that ranks them
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) == 0 {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "state" {
			word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Join(strings.Fields(spec.Doc.Text()), " ")
			meaning, _, _ := strings.Cut(text+" ", ". ")
			page = append(page, [2]string{word, meaning + "."})
			named = append(named, spec.Names[0].Name)
		}
		if list, ok := spec.Values[0].(*ast.CompositeLit); ok && spec.Names[0].Name == "states" {
			for _, e := range list.Elts {
				ranked = append(ranked, e.(*ast.Ident).Name)
			}
		}
		return true
	})
	var ours [][2]string
	for _, s := range states {
		ours = append(ours, [2]string{s.word, s.meaning})
	}
	if len(page) == 0 || !slices.Equal(page, ours) {
		t.Errorf("the page has\n%q\nthe dashboards have\n%q", page, ours)
	}
	if !slices.Equal(named, ranked) {
		t.Errorf("poolz declares %v, and ranks %v", named, ranked)
	}
}
