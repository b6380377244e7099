package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// instrument is a row of docs/metrics.md.
type instrument struct{ name, kind, unit string }

// catalogue is the content of docs/metrics.md.
type catalogue struct {
	instruments []instrument
	attributes  []string          // of metrics
	values      map[string]string // the description of the values of an attribute
}

var code = regexp.MustCompile("`([^`]+)`")

// readTable reads docs/metrics.md, which is generated from the table of instruments.
func readTable(t *testing.T) catalogue {
	t.Helper()
	content, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	found := catalogue{values: map[string]string{}}
	for line := range strings.Lines(string(content)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		first := code.FindStringSubmatch(cells[0])
		if !strings.HasPrefix(line, "| ") || first == nil {
			continue
		}
		switch len(cells) {
		case 4: // name, kind, unit, attributes
			unit := code.FindStringSubmatch(cells[2])
			found.instruments = append(found.instruments, instrument{first[1], strings.TrimSpace(cells[1]), unit[1]})
			for _, a := range code.FindAllStringSubmatch(cells[3], -1) {
				found.attributes = append(found.attributes, a[1])
			}
		case 2: // attribute, values
			found.attributes = append(found.attributes, first[1])
			found.values[first[1]] = cells[1]
		}
	}
	slices.Sort(found.attributes)
	found.attributes = slices.Compact(found.attributes)
	if len(found.instruments) < 19 || len(found.values) < 8 {
		t.Fatalf("docs/metrics.md has %d instruments and %d attributes: readTable does not match its form", len(found.instruments), len(found.values))
	}
	return found
}

func (in catalogue) instrument(name string) (instrument, bool) {
	i := slices.IndexFunc(in.instruments, func(i instrument) bool { return i.name == name })
	if i < 0 {
		return instrument{}, false
	}
	return in.instruments[i], true
}

// documents are all documents, by their name below the root of the repository.
func documents(t *testing.T, ending string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return fs.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(path, ending) {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			found[strings.TrimPrefix(filepath.ToSlash(path), "../")] = string(content)
		}
		return nil
	})
	if err != nil || len(found) == 0 {
		t.Fatalf("%d documents: %v", len(found), err)
	}
	return found
}

// fence is a part of a document that is code.
var fence = regexp.MustCompile("(?ms)^[ \\t]*(```|~~~).*?^[ \\t]*(```|~~~)[ \\t]*$")

// anchors are those that GitHub gives to the headings of a document.
func anchors(content string) map[string]bool {
	all := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ +(.+?) *$`).FindAllStringSubmatch(fence.ReplaceAllString(content, ""), -1) {
		text := regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`).ReplaceAllString(heading[1], "$1")
		text = regexp.MustCompile(`[^\p{L}\p{N}\-_ ]`).ReplaceAllString(strings.ToLower(text), "")
		anchor := strings.ReplaceAll(text, " ", "-")
		for i := 1; all[anchor]; i++ {
			anchor = strings.ReplaceAll(text, " ", "-") + "-" + strconv.Itoa(i)
		}
		all[anchor] = true
	}
	return all
}

func TestDocuments_LinksExist(t *testing.T) {
	docs := documents(t, ".md")
	const ours = "https://github.com/otelpool/otelpool/blob/main/"
	check := func(from, target string) {
		file, anchor, _ := strings.Cut(target, "#")
		if _, err := os.Stat(filepath.Join("..", file)); err != nil {
			t.Errorf("%s: %s: %v", from, file, err)
			return
		}
		if content, ok := docs[file]; anchor != "" && ok && !anchors(content)[anchor] {
			t.Errorf("%s: %s has no section %s", from, file, anchor)
		}
	}
	links := 0
	for name, content := range docs {
		for _, link := range regexp.MustCompile(`\]\(([^) ]+)`).FindAllStringSubmatch(fence.ReplaceAllString(content, ""), -1) {
			links++
			target := link[1]
			switch {
			case strings.HasPrefix(target, ours):
				check(name, strings.TrimPrefix(target, ours))
			case strings.Contains(target, "://"), strings.HasPrefix(target, "mailto:"):
			case strings.HasPrefix(target, "#"):
				check(name, name+target)
			default:
				check(name, filepath.ToSlash(filepath.Join(filepath.Dir(name), target)))
			}
		}
	}
	// Rules and dashboards link to the documents too.
	for _, ending := range []string{".yaml", ".json"} {
		for name, content := range documents(t, ending) {
			for _, link := range regexp.MustCompile(regexp.QuoteMeta(ours)+`([\w./#-]+)`).FindAllStringSubmatch(content, -1) {
				links++
				check(name, link[1])
			}
		}
	}
	if links < 100 {
		t.Errorf("only %d links were found", links)
	}
}

func TestDocuments_ShowEveryPictureWithAltText(t *testing.T) {
	files, err := filepath.Glob("../docs/pictures/*")
	if err != nil || len(files) == 0 {
		t.Fatal("no pictures", err)
	}
	shown := map[string]bool{}
	for name, content := range documents(t, ".md") {
		for _, picture := range regexp.MustCompile(`!\[([^]]*)\]\(([^) ]+)\)`).FindAllStringSubmatch(fence.ReplaceAllString(content, ""), -1) {
			if strings.TrimSpace(picture[1]) == "" {
				t.Errorf("%s: %s has no alt text", name, picture[2])
			}
			shown[filepath.Join("..", filepath.Dir(name), picture[2])] = true
		}
	}
	for _, file := range files {
		if !shown[file] {
			t.Errorf("no document shows %s", file)
		}
	}
}

// conventional are attributes of the OpenTelemetry conventions on spans and in logs that
// no metric has.
var conventional = []string{
	"db.query.text", "db.query.parameter", "db.response.status_code", "db.response.returned_rows", "db.namespace",
}

// namesInCode are the string literals of package telemetry, which has all names that are
// emitted.
func namesInCode(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("../internal/telemetry/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no source", err)
	}
	names := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING {
				if name, err := strconv.Unquote(text.Value); err == nil {
					names[name] = true
				}
			}
			return true
		})
	}
	return names
}

// foreign are names of other wrappers. The page about coming from them has these too.
var foreign = regexp.MustCompile(`^db\.(sql\..*|operation|operation\.name|statement|instance|rows_affected)$`)

func TestDocuments_NamesExist(t *testing.T) {
	table := readTable(t)
	source := namesInCode(t)
	emitted := regexp.MustCompile(`^(otelpool\.[a-z_]+|db\.[a-z_]+)(\.[a-z_]+)*\.?$`)
	scraped := regexp.MustCompile(`^(otelpool|db_client)_[a-z_]*[a-z]$`)
	checked := 0
	for name, content := range documents(t, ".md") {
		// A test in benchmarks covers the names of other libraries.
		if strings.Contains(name, "benchmarks") || strings.HasPrefix(name, "CHANGELOG") || name == "docs/peers.md" {
			continue
		}
		for _, word := range code.FindAllStringSubmatch(fence.ReplaceAllString(content, ""), -1) {
			word := word[1]
			switch {
			case name == "docs/migrating.md" && foreign.MatchString(word):
			case emitted.MatchString(word):
				_, isMetric := table.instrument(word)
				// The source appends the phase to otelpool.held.
				dot := strings.LastIndexByte(word, '.')
				ofPhase := source[word[:dot]] && strings.Contains(table.values["otelpool.phase"], "`"+word[dot+1:]+"`")
				known := isMetric || source[word] || ofPhase || slices.Contains(table.attributes, word) ||
					slices.Contains(conventional, word)
				if !known {
					t.Errorf("%s: there is no %s", name, word)
				}
				checked++
			case scraped.MatchString(word):
				known := isMetric(word) || slices.ContainsFunc(attributes, func(a string) bool { return escape(a) == word }) ||
					slices.ContainsFunc(metrics, func(m metric) bool { return escape(m.name) == word })
				if !known {
					t.Errorf("%s: Prometheus has no %s", name, word)
				}
				checked++
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d names were found", checked)
	}
}

// TestDocuments_NameTheSupportedVersions compares the versions in the documents with
// go.mod, and with the newer Go release that CI uses.
func TestDocuments_NameTheSupportedVersions(t *testing.T) {
	find := func(file, pattern string) string {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(pattern).FindStringSubmatch(string(content))
		if found == nil {
			t.Fatalf("%s has no %s", file, pattern)
		}
		return found[1]
	}
	older, newer := find("../go.mod", `(?m)^go (1\.\d+)`), find("../.ci/run", `(?m)^newer=go(1\.\d+)`)
	api := find("../go.mod", `go\.opentelemetry\.io/otel (v\S+)`)
	docs := documents(t, ".md")
	for _, claim := range [][2]string{
		{"README.md", "Go " + older + " and " + newer},
		{"docs/stability.md", "now Go " + older + " and Go " + newer},
		{"docs/stability.md", "now " + api + " of the API"},
	} {
		file, sentence := claim[0], claim[1]
		if !strings.Contains(strings.Join(strings.Fields(docs[file]), " "), sentence) {
			t.Errorf("%s does not have %q", file, sentence)
		}
	}
}

func TestAnchors_MatchGitHub(t *testing.T) {
	got := fmt.Sprint(anchors("# `db.client.connection.count`, and more\n\n## What it *means*\n```\n# no heading\n```\n## What it means\n"))
	if want := "map[dbclientconnectioncount-and-more:true what-it-means:true what-it-means-1:true]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
