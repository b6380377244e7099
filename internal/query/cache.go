package query

import (
	"encoding/binary"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
)

// Cache maps statement texts to values computed from them. Its methods may be
// called from any goroutine.
//
// It never exceeds the limits given to [NewCache]. When it is full, it evicts the
// entries without a hit since it was last full, so unique texts cannot push out
// repeated ones.
type Cache[V any] struct {
	maxEntries, maxBytes int
	compute              func(text string) V

	// published is a copy of entries, so that a hit takes no lock. It may lack new
	// entries; it has none that entries lacks.
	published atomic.Pointer[snapshot[V]]

	// mu guards the fields below.
	mu        sync.Mutex
	entries   map[string]*entry[V]
	size      int // bytes of text in entries
	staleHits int // hits that published did not have when it was last stored
}

// snapshot is a set of entries that are found without a lock.
type snapshot[V any] struct {
	entries map[string]*entry[V] // immutable
	// slots index some of the entries by slotOf; the first hit takes the slot. Comparing
	// one text is cheaper than a map lookup.
	slots [1 << slotBits]atomic.Pointer[entry[V]]
}

const slotBits = 10

// get returns the entry of a text, or nil.
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

// slotOf returns a slot number that few of a program's statements share. Statements begin
// and end alike and differ where their names are, so it hashes the middle and the length.
// Hashing all of a text takes longer than comparing it with another.
func slotOf(text string) uint64 {
	const multiplier = 0x9e3779b97f4a7c15 // odd, with many bits set
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

// NewCache returns a cache of at most the given numbers of entries and of bytes
// of text; the size of the values is not counted. A text longer than an eighth
// of the bytes is not kept.
//
// The function computes the value of a text. It is called without a lock,
// perhaps more than once for the same text, and may keep the string.
func NewCache[V any](entries, bytes int, value func(text string) V) *Cache[V] {
	c := &Cache[V]{maxEntries: entries, maxBytes: bytes, compute: value, entries: map[string]*entry[V]{}}
	c.publishLocked()
	return c
}

// Get returns the value of the text. A hit does not allocate.
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
	text = strings.Clone(text) // it may be a small part of a large string
	return c.add(text, c.compute(text))
}

// Keeps reports whether a text is short enough to be kept.
func (c *Cache[V]) Keeps(text string) bool { return len(text) <= c.maxBytes/8 }

// markUsed writes only once, so that hits on many processors do not contend.
func (e *entry[V]) markUsed() {
	if !e.used.Load() {
		e.used.Store(true)
	}
}

// getSlow returns the entry of a text that is not in the published copy. A new
// copy is published after as many such hits as there are entries.
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

// add stores the value, unless another goroutine was faster, and returns the
// stored one.
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

// evictLocked drops the entries not used since the last eviction, and then any
// others until half of the room is free, so that evictions are rare.
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
