package query

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"unsafe"
)

// countingCache is a cache of the lengths of texts. It counts how often each is computed.
type countingCache struct {
	*Cache[int]
	computed map[string]int
}

func newCountingCache(entries, bytes int) *countingCache {
	c := &countingCache{computed: map[string]int{}}
	c.Cache = NewCache(entries, bytes, func(text string) int {
		c.computed[text]++
		return len(text)
	})
	return c
}

// get looks up every text and checks the values.
func (c *countingCache) get(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if got := c.Get(text); got != len(text) {
			t.Errorf("got %d for a text of %d bytes", got, len(text))
		}
	}
}

// uniqueTexts returns n texts of the given length, numbered from first.
func uniqueTexts(first, n, length int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%0*d", length, first+i)
	}
	return all
}

func TestCacheGet_ComputesAValueOnce(t *testing.T) {
	c := newCountingCache(10, 1000)
	c.get(t, "a", "bb", "a", "bb", "a", "a", "bb")
	if want := map[string]int{"a": 1, "bb": 1}; !maps.Equal(c.computed, want) {
		t.Errorf("computed %v, want %v", c.computed, want)
	}
}

func TestCache_StaysWithinItsLimits(t *testing.T) {
	for _, c := range []struct{ entries, bytes, length, n, want int }{
		{entries: 100, bytes: 1 << 20, length: 20, n: 100, want: 100},
		{entries: 100, bytes: 1 << 20, length: 20, n: 101, want: 1},
		{entries: 100, bytes: 1 << 20, length: 20, n: 10_000, want: 100},
		{entries: 1000, bytes: 1000, length: 20, n: 10_000, want: 50},
		{entries: 1000, bytes: 1000, length: 125, n: 8, want: 8},
		{entries: 1000, bytes: 1000, length: 126, n: 8, want: 0},
		{entries: 1, bytes: 1000, length: 20, n: 10, want: 1},
	} {
		cache := newCountingCache(c.entries, c.bytes)
		cache.get(t, uniqueTexts(0, c.n, c.length)...)
		if len(cache.entries) != c.want || cache.size != c.want*c.length {
			t.Errorf("%+v: got %d entries, %d bytes", c, len(cache.entries), cache.size)
		}
		cache.checkInvariants(t)
	}
}

// checkInvariants checks what holds at any time.
func (c *Cache[V]) checkInvariants(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	size := 0
	for text := range c.entries {
		size += len(text)
	}
	if size != c.size || size > c.maxBytes || len(c.entries) > c.maxEntries {
		t.Errorf("got %d entries, %d bytes, counted as %d; want at most %d, %d", len(c.entries), size, c.size, c.maxEntries, c.maxBytes)
	}
	for text, e := range c.published.Load().entries {
		if c.entries[text] != e {
			t.Errorf("%q is published, but not among the entries", text)
		}
	}
	for i := range c.published.Load().slots {
		if e := c.published.Load().slots[i].Load(); e != nil && c.entries[e.text] != e {
			t.Errorf("%q has a slot, but is not among the entries", e.text)
		}
	}
}

func TestCache_KeepsRepeatedTextsWhileUniqueOnesFillIt(t *testing.T) {
	c := newCountingCache(100, 1<<20)
	hot := uniqueTexts(0, 40, 10)
	c.get(t, hot...)
	c.get(t, hot...)
	for i := range 1000 {
		c.get(t, uniqueTexts(1000+i*10, 10, 20)...)
		c.get(t, hot...)
		c.checkInvariants(t)
	}
	for _, text := range hot {
		if c.computed[text] != 1 {
			t.Errorf("%q was computed %d times, want once", text, c.computed[text])
		}
	}
}

func TestCache_EvictsTextsThatAreNoLongerUsed(t *testing.T) {
	c := newCountingCache(100, 1<<20)
	old := uniqueTexts(0, 40, 10)
	c.get(t, old...)
	c.get(t, old...)
	c.get(t, uniqueTexts(1000, 1000, 20)...)
	for _, text := range old {
		if c.entries[text] != nil {
			t.Errorf("%q is still cached after many evictions", text)
		}
	}
}

func TestCache_ClonesTheTextsItKeeps(t *testing.T) {
	c := newCountingCache(10, 1000)
	text := strings.Repeat("x", 1<<20)[:10]
	c.get(t, text)
	for kept := range c.entries {
		if unsafe.StringData(kept) == unsafe.StringData(text) {
			t.Error("10 bytes keep a megabyte")
		}
	}
}

func TestCache_EvictsHalfIfAllEntriesAreInUse(t *testing.T) {
	c := newCountingCache(100, 1<<20)
	hot := uniqueTexts(0, 100, 10)
	for range 3 {
		c.get(t, hot...)
	}
	c.get(t, "new")
	c.get(t, "new")
	if c.computed["new"] != 1 || len(c.entries) != 51 {
		t.Errorf("the new text was computed %d times, %d entries are left; want once, 51", c.computed["new"], len(c.entries))
	}
}

func TestCache_PublishesRepeatedTexts(t *testing.T) {
	c := newCountingCache(100, 1<<20)
	texts := uniqueTexts(0, 50, 10)
	c.get(t, texts...)
	c.get(t, texts...)
	if got := len(c.published.Load().entries); got != 50 {
		t.Errorf("%d entries are published after two lookups each, want 50", got)
	}
}

func TestCache_SeparatesTextsThatShareASlot(t *testing.T) {
	c := newCountingCache(100, 1<<20)
	one := "SELECT name FROM customers WHERE id = 1"
	texts := []string{one, strings.Replace(one, "1", "2", 1), strings.Replace(one, "name", "mail", 1), strings.Replace(one, "SELECT", "select", 1)}
	for _, text := range texts {
		if slotOf(text) != slotOf(one) {
			t.Fatalf("%q has another slot than %q", text, one)
		}
	}
	values := NewCache(100, 1<<20, func(text string) string { return text })
	for range 5 {
		c.get(t, texts...)
		for _, text := range texts {
			if got := values.Get(text); got != text {
				t.Errorf("got the value of %q for %q", got, text)
			}
		}
	}
	c.checkInvariants(t)
	if e := c.published.Load().slots[slotOf(one)].Load(); e == nil {
		t.Error("none of the texts has the slot")
	}
	if want := map[string]int{texts[0]: 1, texts[1]: 1, texts[2]: 1, texts[3]: 1}; !maps.Equal(c.computed, want) {
		t.Errorf("computed %v, want %v", c.computed, want)
	}
}

// Texts of any length have a slot. Two hundred texts at random have 182 different ones.
func TestSlotOf_SpreadsStatements(t *testing.T) {
	slots := map[uint64]bool{}
	for i := range 200 {
		slots[slotOf(fmt.Sprintf("SELECT a, b FROM table_%d WHERE id = ?", i))] = true
		if slot := slotOf(strings.Repeat("x", i)); slot >= 1<<slotBits {
			t.Errorf("%d bytes have the slot %d", i, slot)
		}
	}
	if len(slots) < 170 {
		t.Errorf("200 statements have %d slots, want 170", len(slots))
	}
}

func TestCacheGet_DoesNotAllocateOnAHit(t *testing.T) {
	c := NewCache(100, 1<<20, func(text string) Statement { return Parse(text, Options{}) })
	text := "SELECT * FROM t WHERE a = 'x'"
	c.Get(text)
	c.Get(text)
	if got := testing.AllocsPerRun(100, func() { c.Get(text) }); got != 0 {
		t.Errorf("%v allocations for a hit, want 0", got)
	}
}

func TestCacheGet_IsSafeForConcurrentUse(t *testing.T) {
	c := NewCache(64, 4096, func(text string) string { return "value of " + text })
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 5000 {
				text := fmt.Sprint("text ", i*(g+1)%(50+i%500))
				if i%100 == 0 {
					text = strings.Repeat("long", 1000)
				}
				if got := c.Get(text); got != "value of "+text {
					t.Errorf("got %q, want %q", got, "value of "+text)
				}
			}
		})
	}
	wg.Wait()
	c.checkInvariants(t)
}
