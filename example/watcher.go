package main

import (
	"context"
	"sync"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// watchEvery is the interval of a watcher's own collections.
const watchEvery = 100 * time.Millisecond

// watcher collects from the SDK while a scene plays, and adds up the results.
type watcher struct {
	reader *sdkmetric.ManualReader

	mu      sync.Mutex // guards figures, and makes collecting and adding one step
	figures *figures
}

func newWatcher(reader *sdkmetric.ManualReader) *watcher {
	return &watcher{reader: reader, figures: newFigures()}
}

// collect collects and returns the state of the pool.
func (w *watcher) collect() (state, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.collectLocked()
}

func (w *watcher) collectLocked() (state, error) {
	var collected metricdata.ResourceMetrics
	// If the context ended, the data of this collection would be lost.
	if err := w.reader.Collect(context.Background(), &collected); err != nil {
		return state{}, err
	}
	w.figures.add(&collected)
	return w.figures.state, nil
}

// begin resets the figures.
func (w *watcher) begin() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.collectLocked()
	w.figures = newFigures()
	return err
}

// end collects a last time and returns the figures since begin.
func (w *watcher) end() (*figures, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.collectLocked()
	return w.figures, err
}

// sample collects every watchEvery, for the line of held connections over time, until stop
// is called.
func (w *watcher) sample() (stop func()) {
	done := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			w.mu.Lock()
			if s, err := w.collectLocked(); err == nil {
				w.figures.usedOverTime = append(w.figures.usedOverTime, s.used)
			}
			w.mu.Unlock()
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		close(done)
		wait.Wait()
	})
}

// check collects once and reports whether the figures satisfy a condition.
func (w *watcher) check(satisfied func(*figures) bool) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.collectLocked()
	return err == nil && satisfied(w.figures), err
}

// until checks until the figures satisfy a condition, or ctx ends.
func (w *watcher) until(ctx context.Context, satisfied func(*figures) bool) error {
	for {
		if ok, err := w.check(satisfied); ok || err != nil {
			return err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}
