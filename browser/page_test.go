package browser_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// The visible values of the page, as JavaScript expressions.
const (
	state   = `document.querySelector(".pool .state")?.textContent`
	conns   = `[...document.querySelectorAll(".holders tbody tr")].map((r) => r.querySelector("[data-label=conn]").textContent).join(" ")`
	numbers = `[...document.querySelectorAll(".numbers dd")].slice(0, 4).map((d) => d.textContent).join(" ")`
	sorted  = `[...document.querySelectorAll(".holders th:not([aria-sort=none])")].map((h) => h.textContent + " " + h.ariaSort).join(" ")`
)

// TestPage_ShowsAnIncident plays an incident and checks the page on a desktop and on a
// phone.
func TestPage_ShowsAnIncident(t *testing.T) {
	for _, screen := range []struct {
		name          string
		width, height int64
	}{{"desk", 1280, 900}, {"phone", 390, 844}} {
		t.Run(screen.name, func(t *testing.T) {
			origin, address := site(t)
			b := newTab(t, origin)
			s := newShop(t, "orders", 4)
			if err := s.db.Ping(); err != nil {
				t.Fatal(err)
			}
			b.screen(screen.width, screen.height, "light")
			b.do(chromedp.Navigate(address))
			b.until(state, "ok")
			b.until(numbers, "0 / 4 1 0 0")
			b.until(conns, "")
			b.picture(screen.name+"-1-healthy", screen.width, screen.height)

			// The page shows the pool becoming exhausted without a reload.
			b.js(`window.notReloaded = true`)
			var streams []request
			for i := range 4 {
				streams = append(streams, s.serve(s.stream))
				s.awaitCounts(i+1, 0)
			}
			b.until(conns, "1 2 3 4")
			b.until(state, "saturated")
			for range 6 {
				s.serve(s.checkout)
			}
			s.awaitCounts(4, 6)
			b.until(state, "exhausted")
			b.until(numbers, "4 / 4 0 0 6")
			row := `[...document.querySelector(".holders tbody tr").cells]`
			b.until(row+`.slice(2, 5).map((c) => (c.querySelector("summary") ?? c).innerText.replace(/\s+/g, " ")).join(", ")`,
				"pinned, browser_test.(*shop).stream browser/shop_test.go:73, SELECT events")
			b.until(`document.querySelectorAll(".reports li.exhausted").length`, "1")
			b.until(`document.querySelector(".groups td").textContent`, "4")

			// Sorting takes effect at once, and a refresh keeps it and the focus.
			b.click(`a[data-sort=conn]`)
			if got := b.js(sorted + `+": "+` + conns); got != "conn descending: 4 3 2 1" {
				t.Errorf("sorted by connection: %s", got)
			}
			b.click(`a[data-sort=conn]`)
			if got := b.js(sorted + `+": "+` + conns); got != "conn ascending: 1 2 3 4" {
				t.Errorf("sorted by connection, reversed: %s", got)
			}
			b.click(`a[data-sort=held]`)
			b.click(`a[data-sort=held]`)
			b.click(`.holders details summary`)
			b.js(`document.querySelector("a[data-sort=held]").focus()`)
			b.js(`document.querySelector(".holders").scrollIntoView()`)
			b.refreshed()
			state := sorted + ` + ": " + ` + conns + ` + ", " + document.activeElement.dataset.sort + ", " + ` +
				`document.querySelectorAll(".holders details[open]").length + ", " + ` +
				`Math.round(document.querySelector(".holders").getBoundingClientRect().top) + ", " + location.search`
			if got, want := b.js(state), "held ascending: 4 3 2 1, held, 1, 0, ?sort=held&order=asc"; got != want {
				t.Errorf("after a refresh: %s, want %s", got, want)
			}
			b.picture(screen.name+"-2-exhausted", screen.width, screen.height)

			// The page shows a holder release its connection and a waiting caller get it.
			streams[1].leave()
			s.awaitCounts(3, 0)
			b.until(conns, "4 3 1")
			b.until(numbers, "3 / 4 1 0 0")
			if got := b.js(`window.notReloaded`); got != "true" {
				t.Error("the page was reloaded")
			}

			// A trace id links to the trace of the request that holds the connection.
			b.click(`tr[data-key=c3] a.id`)
			b.until(`document.querySelector("#id")?.textContent`, streams[2].trace)
			b.do(chromedp.NavigateBack())
			b.until(conns, "4 3 1")

			// A paused page does not change.
			b.click(`#pause`)
			b.until(`document.querySelector("#status").textContent`, "paused")
			streams[0].leave()
			s.awaitCounts(2, 0)
			if got := b.js(conns); got != "4 3 1" {
				t.Errorf("paused, it shows %s", got)
			}
			b.click(`#pause`)
			b.until(conns, "4 3")
		})
	}
}

// TestPage_WorksWithoutJavaScript checks sorting and links with scripts disabled.
func TestPage_WorksWithoutJavaScript(t *testing.T) {
	origin, address := site(t)
	b := newTab(t, origin)
	s := newShop(t, "orders", 4)
	var streams []request
	for i := range 4 {
		streams = append(streams, s.serve(s.stream))
		s.awaitCounts(i+1, 0)
	}
	s.serve(s.checkout)
	s.awaitCounts(4, 1)
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Navigate(address))
	if got := b.js(conns + ` + ", " + document.querySelector("#pause").hidden`); got != "1 2 3 4, true" {
		t.Errorf("holders, and whether the button is hidden: %s", got)
	}
	b.click(`a[data-sort=conn]`)
	b.until(sorted+` + ": " + `+conns, "conn descending: 4 3 2 1")
	b.picture("noscript", 390, 844)
	b.click(`tr[data-key=c2] a.id`)
	b.until(`document.querySelector("#id")?.textContent`, streams[1].trace)
}

// TestPage_FitsTheWindowWithFewAndManyPools checks contents that are hard to lay out.
func TestPage_FitsTheWindowWithFewAndManyPools(t *testing.T) {
	origin, address := site(t)
	b := newTab(t, origin)
	show := func(name, want string) {
		b.do(chromedp.Navigate(address))
		if got := b.js(`document.querySelectorAll(".overview tbody tr").length + " pools, " + document.querySelectorAll(".pool").length + " of them whole"`); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		b.picture(name+"-desk", 1280, 900)
		b.picture(name+"-phone", 390, 844)
		b.picture(name+"-small", 320, 640)
	}
	t.Run("no pool", func(*testing.T) { show("none", "0 pools, 0 of them whole") })
	t.Run("thirty pools", func(t *testing.T) {
		for i := range 30 {
			s := newShop(t, fmt.Sprintf("shard-%02d", i), 3)
			for held := range i % 4 {
				s.serve(s.stream)
				s.awaitCounts(held+1, 0)
			}
		}
		show("thirty", "30 pools, 4 of them whole")
	})
	t.Run("long names", func(t *testing.T) {
		s := newShop(t, strings.Repeat("a_pool_with_a_long_name_", 5), 10)
		for held := range 10 {
			s.serve(repositoryOfEverythingThatWasEverBoughtInAnyOfOurShops[map[string]int]{s}.findAllByCustomerAndPeriodOrderedByDate)
			s.awaitCounts(held+1, 0)
		}
		for range 40 {
			s.serve(repositoryOfEverythingThatWasEverBoughtInAnyOfOurShops[map[string]int]{s}.findAllByCustomerAndPeriodOrderedByDate)
		}
		s.awaitCounts(10, 40)
		show("long", "0 pools, 1 of them whole")
	})
}

type repositoryOfEverythingThatWasEverBoughtInAnyOfOurShops[T any] struct{ *shop }

func (r repositoryOfEverythingThatWasEverBoughtInAnyOfOurShops[T]) findAllByCustomerAndPeriodOrderedByDate(ctx context.Context) error {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	const statement = "UPDATE a_table_with_a_name_that_does_not_seem_to_end SET n = 1"
	if _, err := tx.ExecContext(ctx, statement); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
