package otelpool_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// What TestVocabulary_IsKept searches with, and the tests of that.

// isText reports whether a file holds words that people read: source, documents, or a
// script, which has no extension.
func isText(name string) bool {
	switch path.Ext(name) {
	case ".go", ".md", ".yaml", ".yml", ".html", ".css", ".js", ".sql", ".sh", ".txt":
		return true
	case "":
		return path.Base(name) != "LICENSE"
	}
	return false
}

// A search collects what it finds in one file after the other.
type search struct {
	rules      []rule
	byFirst    map[string][]rule // anywhere and inName, by their first word
	byWhole    map[string][]rule // the others, by the name
	expected   map[string]bool   // names of the column say, in lower case
	exceptions []exception
	uses       []int // how often each exception has matched
	files      int
	found      []finding
}

type finding struct {
	file string
	line int
	name string // the declared name that the word is in, or ""
	old  string
	say  string
}

func (f finding) String() string {
	in := ""
	if f.name != "" && !strings.EqualFold(f.name, f.old) {
		in = " in " + f.name
	}
	return fmt.Sprintf("%s:%d: %s%s -> %s", f.file, f.line, f.old, in, f.say)
}

func newSearch(rules []rule, exceptions []exception) *search {
	s := &search{
		rules:      rules,
		byFirst:    map[string][]rule{},
		byWhole:    map[string][]rule{},
		expected:   map[string]bool{},
		exceptions: exceptions,
		uses:       make([]int, len(exceptions)),
	}
	for _, r := range rules {
		switch r.where {
		case anywhere, inName:
			first, _, _ := strings.Cut(r.old, " ")
			s.byFirst[first] = append(s.byFirst[first], r)
		default:
			s.byWhole[strings.ToLower(r.old)] = append(s.byWhole[strings.ToLower(r.old)], r)
		}
		for name := range strings.FieldsFuncSeq(r.say, func(c rune) bool { return c == ',' || c == ';' }) {
			s.expected[strings.ToLower(strings.TrimSpace(name))] = true
		}
	}
	return s
}

// file searches one file. Of Go it reads comments, strings and the names that it
// declares, of anything else all.
func (s *search) file(name string, text []byte) error {
	if path.Ext(name) != ".go" {
		if path.Ext(name) == "" && !bytes.HasPrefix(text, []byte("#!")) {
			return nil
		}
		s.files++
		s.prose(name, wordsOf(string(text), 1))
		return nil
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	if ast.IsGenerated(f) {
		return nil
	}
	s.files++
	before := len(s.found)
	s.name(name, declaration{name: strings.TrimSuffix(path.Base(name), ".go"), line: 1})
	for _, group := range f.Comments {
		s.prose(name, commentWords(fset, group))
	}
	for _, d := range declarations(fset, f, name) {
		s.name(name, d)
	}
	for _, words := range stringWords(fset, f) {
		s.prose(name, words)
	}
	slices.SortStableFunc(s.found[before:], func(a, b finding) int { return a.line - b.line })
	return nil
}

// prose searches running text.
func (s *search) prose(file string, words []word) {
	for i, w := range words {
		for _, r := range s.byFirst[w.text] {
			if r.where == anywhere && startsWith(words[i:], r.old) {
				s.add(finding{file: file, line: w.line, old: r.old, say: r.say}, r)
			}
		}
	}
}

// name searches a declared name.
func (s *search) name(file string, d declaration) {
	if s.expected[strings.ToLower(d.name)] {
		return
	}
	f := finding{file: file, line: d.line, name: d.name}
	words := wordsOf(d.name, d.line)
	for i, w := range words {
		for _, r := range s.byFirst[w.text] {
			if (r.where == anywhere || !d.sentence) && startsWith(words[i:], r.old) {
				f.old, f.say = r.old, r.say
				s.add(f, r)
			}
		}
	}
	for _, r := range s.byWhole[strings.ToLower(d.name)] {
		if r.where == wholeName ||
			r.where == productName && d.product ||
			r.where == productMember && d.product && d.member ||
			r.where == productExport && d.product && d.top && d.name == r.old {
			f.old, f.say = r.old, r.say
			s.add(f, r)
		}
	}
}

// add keeps a finding unless it is outside of its rule's folder or excepted.
func (s *search) add(f finding, r rule) {
	if r.under != "" && !slices.ContainsFunc(strings.Fields(r.under), func(folder string) bool { return isUnder(folder, f.file) }) {
		return
	}
	excepted := false
	for i, e := range s.exceptions {
		if e.word == r.old && matches(e.files, f.file) {
			s.uses[i]++
			excepted = true
		}
	}
	if !excepted {
		s.found = append(s.found, f)
	}
}

// unused are the exceptions that have matched nothing.
func (s *search) unused() []exception {
	var list []exception
	for i, e := range s.exceptions {
		if s.uses[i] == 0 {
			list = append(list, e)
		}
	}
	return list
}

// isUnder reports whether a file is in a folder or further down; "." has only what is
// directly in it.
func isUnder(folder, file string) bool {
	if folder == "." {
		return path.Dir(file) == "."
	}
	return strings.HasPrefix(file, folder+"/")
}

// isProduct reports whether a Go file is product code.
func isProduct(file string) bool {
	return !strings.HasSuffix(file, "_test.go") &&
		!slices.ContainsFunc(notProduct, func(folder string) bool { return isUnder(folder, file) })
}

// matches reports whether a file is the one that a pattern names, or in the folder.
func matches(pattern, file string) bool {
	if strings.HasSuffix(pattern, "/") {
		return strings.HasPrefix(file, pattern)
	}
	ok, err := path.Match(pattern, file)
	return ok && err == nil
}

func matchesAny(list []exception, file string) bool {
	return slices.ContainsFunc(list, func(e exception) bool { return matches(e.files, file) })
}

// A word is in lower case. A name in the text is as many words as it consists of.
type word struct {
	text string
	line int
}

// wordsOf splits text, the first line of which has the given number, at what is neither
// a letter nor an apostrophe between letters, and names where their case changes.
func wordsOf(text string, line int) []word {
	text = strings.ToValidUTF8(text, " ")
	var words []word
	start := -1 // of the current word
	end := func(i int) {
		if start >= 0 {
			words = append(words, word{strings.ToLower(strings.ReplaceAll(text[start:i], "’", "'")), line})
			start = -1
		}
	}
	var before rune // the one before c
	for i, c := range text {
		next, _ := utf8.DecodeRuneInString(text[i+utf8.RuneLen(c):])
		switch {
		case c == '\'' || c == '’':
			if !unicode.IsLetter(before) || !unicode.IsLetter(next) {
				end(i)
			}
		case !unicode.IsLetter(c):
			end(i)
			if c == '\n' {
				line++
			}
		case start < 0:
			start = i
		case unicode.IsUpper(c) && (unicode.IsLower(before) || unicode.IsUpper(before) && unicode.IsLower(next)):
			end(i)
			start = i
		}
		before = c
	}
	end(len(text))
	return words
}

func joinWords(text string) string {
	var list []string
	for _, w := range wordsOf(text, 1) {
		list = append(list, w.text)
	}
	return strings.Join(list, " ")
}

// startsWith reports whether words begin with the words of a phrase.
func startsWith(words []word, phrase string) bool {
	for want := range strings.SplitSeq(phrase, " ") {
		if len(words) == 0 || words[0].text != want {
			return false
		}
		words = words[1:]
	}
	return true
}

// commentWords are those of all lines of a comment, so that a phrase may go over the end
// of a line.
func commentWords(fset *token.FileSet, group *ast.CommentGroup) []word {
	var words []word
	for _, c := range group.List {
		words = append(words, wordsOf(c.Text, fset.Position(c.Pos()).Line)...)
	}
	return words
}

// stringWords are the words of each string in a file, except for what it imports.
func stringWords(fset *token.FileSet, f *ast.File) [][]word {
	var list [][]word
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.BasicLit:
			if n.Kind != token.STRING {
				return false
			}
			text, err := strconv.Unquote(n.Value)
			if err != nil {
				return false
			}
			words := wordsOf(text, fset.Position(n.Pos()).Line)
			if n.Value[0] != '`' {
				for i := range words {
					words[i].line = fset.Position(n.Pos()).Line // an escaped end of line ends none
				}
			}
			list = append(list, words)
		}
		return true
	})
	return list
}

// A declaration is a name that a file declares.
type declaration struct {
	name     string
	line     int
	product  bool // in product code
	member   bool // of a receiver, parameter, result or field
	top      bool // at package level
	sentence bool // of a test, benchmark, example or fuzz test
}

// declarations lists what a file declares at any level, in the order of ast.Inspect.
func declarations(fset *token.FileSet, f *ast.File, file string) []declaration {
	test, product := strings.HasSuffix(file, "_test.go"), isProduct(file)
	top := map[*ast.Ident]bool{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			top[d.Name] = d.Recv == nil
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					top[s.Name] = true
				case *ast.ValueSpec:
					for _, id := range s.Names {
						top[id] = true
					}
				}
			}
		}
	}
	var list []declaration
	add := func(id *ast.Ident, member bool) {
		if id == nil || id.Name == "_" {
			return
		}
		list = append(list, declaration{
			name:    id.Name,
			line:    fset.Position(id.Pos()).Line,
			product: product,
			member:  member,
			top:     top[id],
		})
	}
	addExpr := func(e ast.Expr) {
		if id, ok := e.(*ast.Ident); ok {
			add(id, false)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			if n.Name != nil && n.Name.Name != "." {
				add(n.Name, false)
			}
		case *ast.FuncDecl:
			add(n.Name, false)
			list[len(list)-1].sentence = test && n.Recv == nil && isTest(n.Name.Name)
		case *ast.TypeSpec:
			add(n.Name, false)
		case *ast.ValueSpec:
			for _, id := range n.Names {
				add(id, false)
			}
		case *ast.Field:
			for _, id := range n.Names {
				add(id, true)
			}
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				for _, e := range n.Lhs {
					addExpr(e)
				}
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				addExpr(n.Key)
				addExpr(n.Value)
			}
		case *ast.LabeledStmt:
			add(n.Label, false)
		}
		return true
	})
	return list
}

// isTest reports whether go test runs a function of this name.
func isTest(name string) bool {
	for _, prefix := range []string{"Test", "Benchmark", "Example", "Fuzz"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// testRules has one rule of each scope.
var testRules = []rule{
	{old: "told", say: "recorded"},
	{old: "in vain", say: "without getting a connection"},
	{old: "late", where: inName, say: "spanAtEnd, lateSeen"},
	{old: "put back", where: inName, say: "Unreserve"},
	{old: "of", where: wholeName, say: "series"},
	{old: "short", where: productName, say: "minHold"},
	{old: "in", where: productMember, say: "inner"},
	{old: "k", where: productMember, say: "call", under: ". internal/ledger"},
	{old: "Counts", where: productExport, say: "HistogramCounts", under: "internal"},
}

func TestVocabulary_FindsWords(t *testing.T) {
	for _, tt := range []struct {
		name, file, text string
		want             []string // findings after the name of the file
	}{
		{"text, in any case and within a name", "a.md", "It is Told,\nrowsTold,\nrows_told\nand TOLD.", []string{
			"1: told -> recorded", "2: told -> recorded", "3: told -> recorded", "4: told -> recorded",
		}},
		{"text, parts of other words", "a.md", "toldo untold foretold; in a vain hope", nil},
		{"text, a phrase over the end of a line", "a.yaml", "# waits in\n# vain", []string{"1: in vain -> without getting a connection"}},
		{"text, plain English", "a.md", "late, of, short, in, put back", nil},
		{"a script", ".ci/run", "#!/bin/sh\n# told", []string{"2: told -> recorded"}},
		{"no script", "data", "told", nil},
		{"Go, a comment", "a.go", "package a // told\n\n/* one\ntold */\n", []string{"1: told -> recorded", "4: told -> recorded"}},
		{"Go, a phrase over the end of a line", "a.go", "package a\n\n// waits in\n// vain\n", []string{"3: in vain -> without getting a connection"}},
		{"Go, plain English", "a.go", "package a // late, of, short, in, put back\n\nconst a = `late`\n", nil},
		{"Go, a string", "a.go", "package a\n\nvar a = `one\ntold` + \"\\n\\ntold\"\n", []string{"4: told -> recorded", "4: told -> recorded"}},
		{"Go, an import", "a.go", "package a\n\nimport \"told\"\n", nil},
		{"Go, uses", "a.go", "package a\n\nvar _ = x.told + told\n", nil},
		{"Go, private words in all declarations", "a.go", `package a

import told1 "x"
const told2 = 1
type told3 struct { told4 int }
type _ interface { told5() }
func (told6 told3) Told7(told8 int) (told9 int) {
	var toldA int
	toldB, c := 1, 2
	for toldC, toldD := range x {}
toldE:
	_ = func(toldF int) {}
}
`, []string{
			"3: told in told1 -> recorded",
			"4: told in told2 -> recorded",
			"5: told in told3 -> recorded", "5: told in told4 -> recorded",
			"6: told in told5 -> recorded",
			"7: told in Told7 -> recorded", "7: told in told6 -> recorded", "7: told in told8 -> recorded", "7: told in told9 -> recorded",
			"8: told in toldA -> recorded",
			"9: told in toldB -> recorded",
			"10: told in toldC -> recorded", "10: told in toldD -> recorded",
			"11: told in toldE -> recorded",
			"12: told in toldF -> recorded",
		}},
		{"Go, words of names", "a.go", "package a\n\nvar lateCall, LateSeen, latest, tooLate, putBack, offOf, of int\n", []string{
			"3: late in lateCall -> spanAtEnd, lateSeen", "3: late in tooLate -> spanAtEnd, lateSeen",
			"3: put back in putBack -> Unreserve", "3: of -> series",
		}},
		{"Go, the name of the file", "told_late.go", "package a\n", []string{"1: told in told_late -> recorded", "1: late in told_late -> spanAtEnd, lateSeen"}},
		{"Go, names of tests", "a_test.go", "package a\n\nfunc TestTooLate() {}\nfunc TestTold() {}\nfunc late() {}\n", []string{
			"4: told in TestTold -> recorded", "5: late -> spanAtEnd, lateSeen",
		}},
		{"Go, members of the product", "a.go", "package a\n\nfunc (in t) f(k int) { in := 1; for k := range in {} }\nvar short int\n", []string{
			"3: in -> inner", "3: k -> call", "4: short -> minHold",
		}},
		{"Go, members in a test", "a_test.go", "package a\n\nfunc (in t) f(k int) {}\nvar short int\n", nil},
		{"Go, members of a tool", "tools/a.go", "package a\n\nfunc (in t) f(k int) {}\nvar short int\n", nil},
		{"Go, a rule for some folders", "internal/ledger/a.go", "package a\n\nfunc f(k int) {}\n", []string{"3: k -> call"}},
		{"Go, a rule for other folders", "internal/query/a.go", "package a\n\nfunc f(k int) {}\n", nil},
		{"Go, exported names", "internal/a/a.go", "package a\n\ntype Counts struct { Counts int }\nvar counts, y int\nfunc (y) Counts() {}\n", []string{
			"3: Counts -> HistogramCounts",
		}},
		{"Go, exported names of another folder", "a.go", "package a\n\ntype Counts int\n", nil},
		{"Go, generated", "a.go", "// Code generated by a program. DO NOT EDIT.\n\npackage a\n\nvar told int\n", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSearch(testRules, nil)
			if err := s.file(tt.file, []byte(tt.text)); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range s.found {
				got = append(got, strings.TrimPrefix(f.String(), tt.file+":"))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestVocabulary_RefusesGoThatDoesNotParse(t *testing.T) {
	if err := newSearch(testRules, nil).file("a.go", []byte("package")); err == nil {
		t.Error("no error")
	}
}

func TestVocabulary_SplitsWords(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "",
		"rowsTold tellWait rows_told": "rows told tell wait rows told",
		"HTTPServer serverID":         "http server server id",
		"told2tell k8s":               "told tell k s",
		"each other's, each other’s":  "each other's each other's",
		"'quoted' rows' it's":         "quoted rows it's",
		"Grüße ÄnderungÄ":             "grüße änderung ä",
		"a\xffb":                      "a b",
	} {
		if got := joinWords(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestVocabulary_CountsLines(t *testing.T) {
	got := wordsOf("one\n\ntwo\r\nthree four", 7)
	if want := []word{{"one", 7}, {"two", 9}, {"three", 10}, {"four", 10}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestVocabulary_Exceptions(t *testing.T) {
	list := []exception{
		{files: "a.md", word: "told", reason: "used twice"},
		{files: "docs/*.md", word: "told", reason: "a pattern, not for folders below"},
		{files: "docs/", word: "in vain", reason: "a folder, also those below"},
		{files: "a.md", word: "in vain", reason: "unused: the word is in other files"},
		{files: "b.md", word: "late", reason: "unused: another word is in the file"},
	}
	s := newSearch(testRules, list)
	for _, file := range []string{"a.md", "docs/b.md", "docs/c/d.md"} {
		if err := s.file(file, []byte("told\ntold")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.file("docs/c/e.md", []byte("in vain")); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(s.found), "[docs/c/d.md:1: told -> recorded docs/c/d.md:2: told -> recorded]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := s.unused(); !slices.Equal(got, list[3:]) {
		t.Errorf("unused: got %v, want %v", got, list[3:])
	}
}
