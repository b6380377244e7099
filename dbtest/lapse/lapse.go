// Package lapse has contexts that end when a test wants them to.
package lapse

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Context ends when End is called, with the error that it was made with, and not with
// its parent.
type Context struct {
	context.Context //nolint:containedctx // it is one

	End  func()
	done chan struct{}
	why  error
}

// New returns a context that will end with an error: that of a context that was canceled,
// or of one whose deadline passed.
func New(parent context.Context, why error) *Context {
	c := &Context{Context: parent, done: make(chan struct{}), why: why}
	c.End = sync.OnceFunc(func() { close(c.done) })
	return c
}

// Done is closed by End.
func (c *Context) Done() <-chan struct{} { return c.done }

// Err is nil until End.
func (c *Context) Err() error {
	select {
	case <-c.done:
		return c.why
	default:
		return nil
	}
}

// Deadline is far away for a context that ends for one, and absent for others.
func (c *Context) Deadline() (time.Time, bool) {
	return time.Now().Add(time.Hour), errors.Is(c.why, context.DeadlineExceeded)
}
