package query

import (
	"encoding/binary"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
)

// Cache keeps what was made of statement texts, for as long as they are in use.
// Its methods may be called from any goroutine.
//
// It never has more entries or more bytes of text than [NewCache] was told,
// whatever texts come. When it is full, it drops the entries that nobody asked
// for since it last was, so texts that come once cannot push out those that
// come again.
type Cache[V any] struct {
	maxEntries, maxBytes int
	compute              func(text string) V

	// seen is a copy of all, so that a hit takes no lock. It may lack what is new; it
	// has nothing that all lacks.
	published atomic.Pointer[snapshot[V]]

	// mu guards what follows.
	mu        sync.Mutex
	entries   map[string]*entry[V]
	size      int // bytes of text in all
	staleHits int // hits since seen was stored that it did not have
}

// seen are entries that are found without a lock.
type snapshot[V any] struct {
	entries map[string]*entry[V] // not changed any more
	// ahead has some of them by their slot, each where it was the first to be asked for:
	// to compare one text is less than to look for it among all.
	slots [1 << slotBits]atomic.Pointer[entry[V]]
}

const slotBits = 10

// get returns the entry of a text, nil if it is not there.
func (s *snapshot[V]) get(text string) *entry[V] {
	slot := &s.slots[slotOf(text)]
	if e := slot.Load(); e != nil && e.text == text {
		return e
	}
	e := s.entries[text]
	if e != nil {
		slot.CompareAndSwap(nil, e)
	}
	return e
}

// slotOf is a number that few of a program's statements share. Statements begin and end
// alike and differ where their names are, so it is made of what is in the middle, and of
// the length: to read all of a text takes longer than to compare it with another.
func slotOf(text string) uint64 {
	const multiplier = 0x9e3779b97f4a7c15 // an odd number of many bits
	h := uint64(len(text))
	if middle := len(text) / 2; middle >= 8 {
		h = (h ^ binary.LittleEndian.Uint64([]byte(text[middle-8:middle]))) * multiplier
		h ^= h>>32 ^ binary.LittleEndian.Uint64([]byte(text[middle:middle+8]))
	}
	return h * multiplier >> (64 - slotBits)
}

type entry[V any] struct {
	text  string
	value V
	used  atomic.Bool // since the cache was last full
}

// NewCache returns a cache of no more than the given numbers of entries and of
// bytes of text; what the values hold is not counted. A text longer than an
// eighth of the bytes is not kept.
//
// What a text stands for is made by the function. It is called without a lock,
// perhaps more than once for the same text, and may keep the string.
func NewCache[V any](entries, bytes int, value func(text string) V) *Cache[V] {
	c := &Cache[V]{maxEntries: entries, maxBytes: bytes, compute: value, entries: map[string]*entry[V]{}}
	c.publishLocked()
	return c
}

// Get returns what the text stands for. It does not allocate if it has it.
func (c *Cache[V]) Get(text string) V {
	if e := c.published.Load().get(text); e != nil {
		e.markUsed()
		return e.value
	}
	if !c.Keeps(text) {
		return c.compute(text)
	}
	if e := c.getSlow(text); e != nil {
		return e.value
	}
	text = strings.Clone(text) // it may be a small part of something large
	return c.add(text, c.compute(text))
}

// Keeps reports whether a text is short enough to be kept.
func (c *Cache[V]) Keeps(text string) bool { return len(text) <= c.maxBytes/8 }

// touch writes only once, so that hits on many processors do not wait for each
// other.
func (e *entry[V]) markUsed() {
	if !e.used.Load() {
		e.used.Store(true)
	}
}

// late returns the entry of a text that was not among the seen. Copying all is
// paid for by as many late hits as there are entries.
func (c *Cache[V]) getSlow(text string) *entry[V] {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[text]
	if e == nil {
		return nil
	}
	e.markUsed()
	if c.staleHits++; c.staleHits >= len(c.entries) {
		c.publishLocked()
	}
	return e
}

// add keeps the value, unless another goroutine was faster, and returns the one
// that is kept.
func (c *Cache[V]) add(text string, value V) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[text]; e != nil {
		return e.value
	}
	if len(c.entries) >= c.maxEntries || c.size+len(text) > c.maxBytes {
		c.evictLocked()
	}
	c.entries[text] = &entry[V]{text: text, value: value}
	c.size += len(text)
	return value
}

// evictLocked drops what was not used since the last sweep, and then any
// entries until half of the room is free: the next sweep is as far away.
func (c *Cache[V]) evictLocked() {
	for text, e := range c.entries {
		if !e.used.Swap(false) {
			c.dropLocked(text)
		}
	}
	for text := range c.entries {
		if len(c.entries) <= c.maxEntries/2 && c.size <= c.maxBytes/2 {
			break
		}
		c.dropLocked(text)
	}
	c.publishLocked()
}

func (c *Cache[V]) dropLocked(text string) {
	delete(c.entries, text)
	c.size -= len(text)
}

func (c *Cache[V]) publishLocked() {
	c.published.Store(&snapshot[V]{entries: maps.Clone(c.entries)})
	c.staleHits = 0
}
