package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func TestGenerate_MatchesTheCommittedFiles(t *testing.T) {
	files, err := generate("..")
	if err != nil {
		t.Fatal(err)
	}
	again, err := generate("..")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if !bytes.Equal(want, again[name]) {
			t.Errorf("%s is different each time", name)
		}
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s does not match the source (%v); run: go run ./dashboards", name, err)
		}
	}
	if len(files) != 5 {
		t.Errorf("%d files, want two dashboards and one set of rules in two namings, of which one is the source", len(files))
	}
}

func TestDashboards_FollowGrafanasSchema(t *testing.T) {
	files, err := generate("..")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if !strings.HasSuffix(name, ".json") {
			continue
		}
		t.Run(filepath.Base(name), func(t *testing.T) {
			var d dashboard.Dashboard
			if err := d.UnmarshalJSONStrict(content); err != nil {
				t.Fatal(err)
			}
			if err := d.Validate(); err != nil {
				t.Error(err)
			}
			if d.SchemaVersion != 42 {
				t.Errorf("schema version %d, want 42", d.SchemaVersion)
			}
			if want := strings.TrimSuffix(filepath.Base(name), ".json"); *d.Uid != want {
				t.Errorf("uid %s, want %s", *d.Uid, want)
			}
			taken := map[[2]uint32]string{}
			ids := map[uint32]bool{}
			for _, p := range d.Panels {
				if p.RowPanel != nil {
					continue
				}
				if ids[*p.Panel.Id] {
					t.Errorf("two panels have the id %d", *p.Panel.Id)
				}
				ids[*p.Panel.Id] = true
				at := p.Panel.GridPos
				for x := at.X; x < at.X+at.W; x++ {
					for y := at.Y; y < at.Y+at.H; y++ {
						if other := taken[[2]uint32{x, y}]; other != "" || x >= 24 {
							t.Fatalf("%s covers %s, or is outside the grid", *p.Panel.Title, other)
						}
						taken[[2]uint32{x, y}] = *p.Panel.Title
					}
				}
			}
		})
	}
}

func TestDashboards_QueriesHaveUniqueNames(t *testing.T) {
	files, err := generate("..")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if !strings.HasSuffix(name, ".json") {
			continue
		}
		var d struct {
			Panels []struct {
				Title   string
				Targets []struct{ RefID, Expr string }
			}
		}
		if err := json.Unmarshal(content, &d); err != nil {
			t.Fatal(err)
		}
		queries := 0
		for _, p := range d.Panels {
			for i, q := range p.Targets {
				queries++
				if want := string(rune('A' + i)); q.RefID != want {
					t.Errorf("%s: %s: query %d is called %q, want %q", name, p.Title, i, q.RefID, want)
				}
				if strings.Contains(q.Expr, "@") {
					t.Errorf("%s: %s: not replaced: %s", name, p.Title, q.Expr)
				}
			}
		}
		if queries == 0 {
			t.Error(fmt.Sprint(name, " has no queries"))
		}
	}
}
