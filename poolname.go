package otelpool

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"weak"
)

// names is a registry of names. A value that is not released and that nothing refers to any more is
// dropped from it.
type names[T any] struct {
	mu    sync.Mutex // guards taken
	taken map[string]weak.Pointer[T]
}

// claim reserves want, or, if it is empty, fallback, with a number added if that is taken, and
// returns it.
func (n *names[T]) claim(want, fallback string) string {
	want = cmp.Or(want, fallback)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.taken == nil {
		n.taken = map[string]weak.Pointer[T]{}
	}
	name := want
	for i := 2; ; i++ {
		if _, taken := n.taken[name]; !taken {
			break
		}
		name = fmt.Sprintf("%s-%d", want, i)
	}
	n.taken[name] = weak.Pointer[T]{}
	return name
}

// publish lets open return what a name is for.
func (n *names[T]) publish(name string, one *T) {
	n.mu.Lock()
	n.taken[name] = weak.Make(one)
	n.mu.Unlock()
}

func (n *names[T]) release(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.taken, name)
}

// open returns what was published, by name.
func (n *names[T]) open() []*T {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []*T
	for _, name := range slices.Sorted(maps.Keys(n.taken)) {
		if one := n.taken[name].Value(); one != nil {
			all = append(all, one)
		}
	}
	return all
}
