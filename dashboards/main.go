// Command dashboards generates files from one source for two ways of naming: the
// Grafana dashboards of docs/dashboards, and the alert rules of docs/alerts in names
// that keep their dots.
//
//	go run ./dashboards    # from the root of the repository
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

//go:generate go run . ..

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	if err := write(root); err != nil {
		fmt.Fprintln(os.Stderr, "dashboards:", err)
		os.Exit(1)
	}
}

// rulesFile is the source of the rules, relative to the root of the repository.
const rulesFile = "docs/alerts/otelpool.rules.yaml"

// write writes every generated file below root.
func write(root string) error {
	files, err := generate(root)
	if err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(root, name), content, 0o644); err != nil { // they are documents: readable by all
			return err
		}
	}
	return nil
}

// generate returns the content of each file by its name below root.
func generate(root string) (map[string][]byte, error) {
	rules, err := os.ReadFile(filepath.Join(root, rulesFile))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"docs/alerts/otelpool.utf8.rules.yaml": []byte(dotRules(string(rules)))}
	for _, n := range []naming{underscores, dots} {
		for _, b := range []board{poolBoard, fleetBoard} {
			d, err := b.build(n)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", b.name, err)
			}
			content, err := encode(d)
			if err != nil {
				return nil, err
			}
			files["docs/dashboards/"+b.name+n.suffix()+".json"] = content
		}
	}
	return files, nil
}

// encode is the JSON of a dashboard, in the form that Grafana imports.
func encode(d dashboard.Dashboard) ([]byte, error) {
	content, err := json.MarshalIndent(d, "", "  ")
	return append(content, '\n'), err
}
