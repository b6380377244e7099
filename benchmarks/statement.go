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

// Statements are execs that differ only in how well otelpool knows their texts, in
// the order in which they are reported. A pool keeps a thousand texts, and a MiB of
// them. They have their literals in them, and no arguments. None is for more than
// one goroutine.
var Statements = []Op{
	statement("hit", "a text of 54 bytes that is always the same", updates, inTurn(oneText)),
	statement("miss", "one that was never there before", updates, newTexts),
	statement("10,000 texts", "so many different ones in turn, ten times what is kept", updates, inTurn(manyTexts)),
	statement("64 KB", "a text of 64 KB that is always the same", inserts, inTurn(longText)),
	statement("64 KB miss", "64 different ones of 64 KB in turn, four times what is kept", inserts, inTurn(longTexts)),
}

// StatementModes are the modes in which statements are measured: what a text costs
// is not the SDK's.
var StatementModes = []Mode{NoSDK, Unsampled}

// StatementPeers are what statements are measured with.
var StatementPeers = slices.DeleteFunc(slices.Clone(Peers), func(p Peer) bool {
	return !slices.Contains([]string{Bare, Floor, Otelpool}, p.Name)
})

// inserts is what the floor tells of a text of 64 KB.
var inserts = what{
	operation: execute,
	text:      (insert + "(?, ?)" + strings.Repeat(", (?, ?)", told2048))[:told2048],
	summary:   "INSERT visits",
}

const (
	updateOne = "UPDATE users SET seen = CURRENT_TIMESTAMP WHERE id = "
	insert    = "INSERT INTO visits (user_id, page) VALUES "

	longBytes = 64 << 10
	told2048  = 2048 // bytes of a text are told
)

func statement(name, note string, w what, texts func() (next func() string)) Op {
	plain := func(db *sql.DB) (call, error) {
		next := texts()
		do := func(ctx context.Context) (int64, error) { return affected(db.ExecContext(ctx, next())) }
		// What stays the same is not new when the measuring begins.
		for range 2 {
			if _, err := do(context.Background()); err != nil {
				return nil, err
			}
		}
		return do, nil
	}
	return Op{Name: name, Note: note, plain: plain, told: one(w, plain), want: 1}
}

// newTexts gives texts that are made when they are asked for.
func newTexts() func() string {
	n := 0
	return func() string {
		n++
		return updateOne + strconv.Itoa(n)
	}
}

// inTurn gives texts that are made once, one after another and from the beginning
// again.
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
