package otelpool

import (
	"reflect"
	"sync"
)

// backgroundDials keeps the errors of the last dials that database/sql made in the background. It
// hands each to one of those who wait.
type backgroundDials struct {
	mu   sync.Mutex // guards what follows
	errs [16]error
	next int
}

func (d *backgroundDials) fail(err error) {
	d.mu.Lock()
	d.errs[d.next%len(d.errs)] = err
	d.next++
	d.mu.Unlock()
}

func (d *backgroundDials) failedWith(err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.errs {
		if isSame(e, err) {
			return true
		}
	}
	return false
}

// isSame reports whether two errors are identical. Two that cannot be compared are, if they are of
// one type.
func isSame(a, b error) bool {
	if a == nil || reflect.TypeOf(a) != reflect.TypeOf(b) {
		return false
	}
	return !reflect.ValueOf(a).Comparable() || !reflect.ValueOf(b).Comparable() || a == b //nolint:errorlint // identity
}
