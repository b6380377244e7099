package benchmarks

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Statements are execs that differ only in whether otelpool has their texts in its cache,
// in the order of the report. The cache of a pool holds a thousand texts, and at most a
// MiB. The texts have literals and no arguments. Each Op is for one goroutine.
var Statements = []Op{
	statement("hit", "a text of 54 bytes that is always the same", updates, inTurn(oneText)),
	statement("miss", "a new text in each call", updates, newTexts),
	statement("10,000 texts", "10,000 different texts in turn, ten times as many as the cache holds", updates, inTurn(manyTexts)),
	statement("64 KB", "a text of 64 KB that is always the same", inserts, inTurn(longText)),
	statement("64 KB miss", "64 different texts of 64 KB in turn, four times as many as the cache holds", inserts, inTurn(longTexts)),
}

// StatementModes are the modes of statements: the cost of a text does not depend on the SDK.
var StatementModes = []Mode{NoSDK, Unsampled}

// StatementPeers are the peers of statements.
var StatementPeers = slices.DeleteFunc(slices.Clone(Peers), func(p Peer) bool {
	return !slices.Contains([]string{Bare, Floor, Otelpool}, p.Name)
})

// inserts is a text of 64 KB as the floor emits it.
var inserts = opInfo{
	operation: execute,
	text:      (insert + "(?, ?)" + strings.Repeat(", (?, ?)", maxText))[:maxText],
	summary:   "INSERT visits",
}

const (
	updateOne = "UPDATE users SET seen = CURRENT_TIMESTAMP WHERE id = "
	insert    = "INSERT INTO visits (user_id, page) VALUES "

	longBytes = 64 << 10
	maxText   = 2048 // bytes of a text that are emitted
)

func statement(name, note string, w opInfo, texts func() (next func() string)) Op {
	plain := func(db *sql.DB) (call, error) {
		next := texts()
		do := func(ctx context.Context) (int64, error) { return affected(db.ExecContext(ctx, next())) }
		// Fills the cache before the measurement.
		for range 2 {
			if _, err := do(context.Background()); err != nil {
				return nil, err
			}
		}
		return do, nil
	}
	return Op{Name: name, Note: note, plain: plain, floor: withSignals(w, plain), want: 1}
}

// newTexts returns a function that makes a new text in each call.
func newTexts() func() string {
	n := 0
	return func() string {
		n++
		return updateOne + strconv.Itoa(n)
	}
}

// inTurn returns texts that are made once, one after another in a loop.
func inTurn(texts func() []string) func() func() string {
	return func() func() string {
		all, i := texts(), -1
		return func() string {
			i = (i + 1) % len(all)
			return all[i]
		}
	}
}

func oneText() []string { return []string{updateOne + "7"} }

var manyTexts = sync.OnceValue(func() []string {
	next := newTexts()
	texts := make([]string, 10_000)
	for i := range texts {
		texts[i] = next()
	}
	return texts
})

func longText() []string { return longTexts()[:1] }

var longTexts = sync.OnceValue(func() []string {
	texts := make([]string, 64)
	for i := range texts {
		var b strings.Builder
		fmt.Fprintf(&b, "%s(%d, '/')", insert, i)
		for b.Len() < longBytes-50 {
			fmt.Fprintf(&b, ", (%d, '/orders/%d')", i, b.Len())
		}
		texts[i] = b.String() + strings.Repeat(" ", longBytes-b.Len())
	}
	return texts
})
