package benchmarks

import "testing"

func TestStatements_ReturnTheExpectedResult(t *testing.T) {
	for _, op := range Statements {
		for _, mode := range StatementModes {
			for _, peer := range StatementPeers {
				t.Run(op.Name+"/"+mode.Name+"/"+peer.Name, func(t *testing.T) {
					s := Bench{op, mode, peer}.start(t, mode.providers())
					c := newCaller(s.providers)
					defer c.end()
					for range 2 {
						if got, err := s.call(c.context()); got != op.want || err != nil {
							t.Errorf("the statement returned %d and %v, want %d", got, err, op.want)
						}
					}
				})
			}
		}
	}
}

func TestStatements_TextsHaveTheDocumentedSizes(t *testing.T) {
	count := func(texts []string) (n int) {
		different := map[string]bool{}
		for _, text := range texts {
			different[text] = true
		}
		return len(different)
	}
	if n := count(manyTexts()); n != 10_000 {
		t.Errorf("%d different texts, want 10,000", n)
	}
	if n := count(longTexts()); n != 64 {
		t.Errorf("%d different long texts, want 64", n)
	}
	for _, text := range longTexts() {
		if len(text) != 64<<10 {
			t.Errorf("a long text of %d bytes, want 64 KB", len(text))
		}
	}
	if n := len(oneText()[0]); n != 54 {
		t.Errorf("a text of %d bytes, want 54", n)
	}
}
