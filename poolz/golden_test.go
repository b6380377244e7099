package poolz

import (
	"flag"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

// golden compares a whole output with a file. The folder of the sources is /src.
func golden(t *testing.T, name, got string) {
	t.Helper()
	s := checkout()
	f, _ := runtime.CallersFrames(s[:1]).Next()
	got = strings.ReplaceAll(got, path.Dir(filepath.ToSlash(f.File)), "/src/poolz")
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			t.Fatalf("%s differs from line %d on; to accept it, run with -update\ngot:  %q\nwant: %q",
				file, i+1, g[min(i, len(g)):min(i+1, len(g))], w[min(i, len(w)):min(i+1, len(w))])
		}
	}
}
