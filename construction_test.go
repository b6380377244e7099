package otelpool_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/embedded"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
	"github.com/otelpool/otelpool/poolinfo"
)

// eagerProvider has meters that collect as soon as a callback is registered.
type eagerProvider struct {
	embedded.MeterProvider
	real      metric.MeterProvider
	collected *int
}

func (p eagerProvider) Meter(name string, opts ...metric.MeterOption) metric.Meter {
	return eagerMeter{p.real.Meter(name, opts...), p.collected}
}

type eagerMeter struct {
	metric.Meter
	collected *int
}

func (m eagerMeter) RegisterCallback(f metric.Callback, all ...metric.Observable) (metric.Registration, error) {
	*m.collected++
	if err := f(context.Background(), noop.Observer{}); err != nil {
		return nil, err
	}
	return m.Meter.RegisterCallback(f, all...)
}

func TestOpenDB_MayBeCollectedWhileThePoolIsMade(t *testing.T) {
	seen := observe()
	collected := 0
	db := otelpool.OpenDB(fakedb.New(full).Connector(), seen.options(otelpool.WithMeterProvider(eagerProvider{real: seen.metrics, collected: &collected}))...)
	defer db.Close()
	noError(t, db.Ping())
	if collected == 0 {
		t.Error("no callback was registered")
	}
}

// With -race it finds a pool that is published before it is complete.
func TestPools_WhilePoolsAreOpened(t *testing.T) {
	var opening sync.WaitGroup
	for i := range 2 {
		opening.Go(func() {
			for range 200 {
				db := otelpool.OpenDB(fakedb.New(full).Connector(), otelpool.WithPoolName(fmt.Sprint("opening ", i)))
				_ = db.Close()
			}
		})
	}
	opened := make(chan struct{})
	go func() { opening.Wait(); close(opened) }()
	for {
		for _, s := range otelpool.Pools() {
			if s.Pool == "" {
				t.Fatal("a pool has no name")
			}
		}
		select {
		case <-opened:
			return
		default:
		}
	}
}

func TestReport_JSONHasCallSitesAsLines(t *testing.T) {
	bubble(t, full, func(t *testing.T, plain *sql.DB, _ *fakedb.DB, seen *telemetry) {
		plain.SetMaxOpenConns(1)
		db, err := otelpool.NewDB(plain)
		noError(t, err)
		c, err := db.Conn(t.Context())
		noError(t, err)
		defer c.Close()
		goPing(t, db, 2*time.Second)
		wait(time.Minute)
		kinds := map[poolinfo.ReportKind]bool{}
		for _, r := range seen.takeReports() {
			kinds[r.Kind] = true
			text, err := json.Marshal(r)
			noError(t, err)
			var fields any
			noError(t, json.Unmarshal(text, &fields))
			sites := callSitesIn(t, fields)
			if len(sites) == 0 && r.Kind != poolinfo.ReportRecovered {
				t.Errorf("%s has no call site: %s", r.Kind, text)
			}
			for _, site := range sites {
				if !strings.Contains(site, "construction_test.go:") {
					t.Errorf("%s: the call site is %q, want a line of this file", r.Kind, site)
				}
			}
		}
		if !kinds[poolinfo.ReportExhausted] || !kinds[poolinfo.ReportLeakSuspected] {
			t.Errorf("got reports of %v, want exhausted and leak_suspected", kinds)
		}
	})
}

// callSitesIn returns each CallSite in a decoded document.
func callSitesIn(t *testing.T, v any) (all []string) {
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			all = append(all, callSitesIn(t, one)...)
		}
	case map[string]any:
		for key, one := range v {
			if key != "CallSite" {
				all = append(all, callSitesIn(t, one)...)
				continue
			}
			text, ok := one.(string)
			if !ok {
				t.Errorf("a call site is %v", one)
			}
			if text != "" {
				all = append(all, text)
			}
		}
	}
	return all
}
