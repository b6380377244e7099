package main

import (
	"maps"
	"regexp"
	"slices"
	"testing"
)

// Documents name the tests that prove their claims.
func TestDocuments_NamedTestsExist(t *testing.T) {
	tests := map[string]bool{}
	for _, content := range documents(t, "_test.go") {
		for _, found := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(content, -1) {
			tests[found[1]] = true
		}
	}
	named := 0
	docs := documents(t, ".md")
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		for _, word := range code.FindAllStringSubmatch(docs[name], -1) {
			if !regexp.MustCompile(`^Test[A-Z]\w+$`).MatchString(word[1]) {
				continue
			}
			named++
			if !tests[word[1]] {
				t.Errorf("%s: there is no %s", name, word[1])
			}
		}
	}
	if named < 10 {
		t.Errorf("only %d tests are named", named)
	}
}
