// Package lapse has contexts that end on demand.
package lapse

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Context ends when End is called, with the given error. It does not end with its parent.
type Context struct {
	context.Context //nolint:containedctx // it is a context itself

	End  func()
	done chan struct{}
	why  error
}

// New returns a context that will end with why: context.Canceled or
// context.DeadlineExceeded.
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

// Deadline is in an hour if why is context.DeadlineExceeded, and absent otherwise.
func (c *Context) Deadline() (time.Time, bool) {
	return time.Now().Add(time.Hour), errors.Is(c.why, context.DeadlineExceeded)
}
