package poolz

import (
	"fmt"
	"html"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

// ids are the connections in the table of holders, in its order.
func ids(page string) string {
	var out []string
	for _, m := range regexp.MustCompile(`data-key="c(\d+)"`).FindAllStringSubmatch(page, -1) {
		out = append(out, m[1])
	}
	return join(out)
}

func TestPage_SortsHolders(t *testing.T) {
	s := poolinfo.Snapshot{
		Time: start, Pool: "p", MaxOpen: 3, Open: 3, Held: 3,
		Conns: []poolinfo.Conn{
			holding(2, 3*time.Second, time.Second, poolinfo.PhaseTx, "SELECT b", listOrders()),
			holding(1, 2*time.Second, 0, poolinfo.PhaseExecuting, "SELECT c", checkout()),
			holding(3, time.Second, 0, poolinfo.PhasePinned, "SELECT a", notifications{}.stream()),
		},
	}
	s.Conns[0].Age = time.Hour
	s.Conns[1].Holder.Span = spanNumber(9)
	for query, want := range map[string]string{
		"":                          "2 1 3",
		"?sort=held&order=asc":      "3 1 2",
		"?sort=unused":              "2 1 3", // equal ones by their number
		"?sort=unused&order=asc":    "1 3 2",
		"?sort=phase":               "1 3 2",
		"?sort=phase&order=desc":    "2 3 1",
		"?sort=site":                "1 2 3",
		"?sort=statement":           "3 2 1",
		"?sort=trace":               "2 3 1",
		"?sort=conn":                "3 2 1",
		"?sort=uses":                "3 2 1",
		"?sort=age":                 "2 1 3",
		"?sort=nothing&order=maybe": "2 1 3",
		"?order=asc":                "3 1 2",
	} {
		if got := ids(get(t, serving(nil, s), "GET", "/"+query).Body.String()); got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
}

func TestPage_ColumnHeadersLinkToTheirOrderAndReverseIt(t *testing.T) {
	heads := func(query string) (out []string) {
		page := get(t, serving(nil, drained()), "GET", "/"+query).Body.String()
		for _, m := range regexp.MustCompile(`aria-sort="(\w+)"[^>]*><a href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
			out = append(out, m[1]+" "+html.UnescapeString(m[2]))
		}
		return out
	}
	for query, want := range map[string][]string{
		"": {
			"descending ?order=asc&sort=held", "none ?order=desc&sort=unused", "none ?order=asc&sort=phase",
			"none ?order=asc&sort=site", "none ?order=asc&sort=statement", "none ?order=asc&sort=trace",
			"none ?order=desc&sort=conn", "none ?order=desc&sort=uses", "none ?order=desc&sort=age",
		},
		"?order=asc&pool=orders&rows=all&sort=phase": {
			"none ?pool=orders&rows=all", "none ?order=desc&pool=orders&rows=all&sort=unused",
			"ascending ?order=desc&pool=orders&rows=all&sort=phase", "none ?order=asc&pool=orders&rows=all&sort=site",
			"none ?order=asc&pool=orders&rows=all&sort=statement", "none ?order=asc&pool=orders&rows=all&sort=trace",
			"none ?order=desc&pool=orders&rows=all&sort=conn", "none ?order=desc&pool=orders&rows=all&sort=uses",
			"none ?order=desc&pool=orders&rows=all&sort=age",
		},
	} {
		if got := heads(query); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Errorf("%q:\n%q\nwant\n%q", query, got, want)
		}
	}
}

func TestPage_OfManyPoolsShowsThoseThatAreNotOKInFull(t *testing.T) {
	shown := func(query string) string {
		var out []string
		page := get(t, serving(nil, fleet()...), "GET", "/"+query).Body.String()
		for _, m := range regexp.MustCompile(`<article class="pool (\w+)" data-key="([^"]*)"`).FindAllStringSubmatch(page, -1) {
			out = append(out, m[2]+" "+m[1])
		}
		return strings.Join(append(out, regexp.MustCompile(`<title>(.*)</title>`).FindStringSubmatch(page)[1]), ", ")
	}
	for query, want := range map[string]string{
		"":               "orders exhausted, billing dialing, 2 of 30 pools: exhausted",
		"?pool=shard-11": "shard-11 ok, shard-11: ok",
	} {
		if got := shown(query); got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
}

func TestPage_LongTablesEndWithALinkToAllRows(t *testing.T) {
	s := drained()
	for i := range 300 {
		s.Conns = append(s.Conns, holding(uint64(1000+i), time.Second, 0, poolinfo.PhaseTx, "", checkout()))
	}
	rows := func(query string) string {
		page := get(t, serving(nil, s), "GET", "/"+query).Body.String()
		more := regexp.MustCompile(`(\d+) more: <a href="([^"]*)"`).FindAllStringSubmatch(page, -1)
		out := fmt.Sprintf("%d holders", len(strings.Fields(ids(page))))
		for _, m := range more {
			out += fmt.Sprintf(", %s more at %s", m[1], m[2])
		}
		return out
	}
	for query, want := range map[string]string{
		"":          "100 holders, 210 more at ?rows=all, 28 more at ?rows=all",
		"?rows=all": "310 holders",
	} {
		if got := rows(query); got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
}

func TestBar_EachConnectionHasTheSameWidth(t *testing.T) {
	for _, c := range []struct {
		name string
		pool poolinfo.Snapshot
		want string
	}{
		{"room is left", healthy(), "held, in use 1 at 0+1, idle 3 at 1+3, not open 6 at 4+6 of 10"},
		{"a queue", drained(), "held, unused 1 s or more 10 at 0+10, waiting 40 at 10.2+30 of 40.2"},
		{"no limit, nothing open", unreachable(), "dialing 7 at 0+7, waiting 7 at 7.14+7 of 14.14"},
		{"a limit that was lowered", poolinfo.Snapshot{MaxOpen: 1, Open: 3, Held: 3, Conns: make([]poolinfo.Conn, 3)}, "held, in use 3 at 0+3 of 3"},
		{
			"a limit that is not known",
			poolinfo.Snapshot{MaxOpen: -1, Open: 2, Held: 2, Waiting: -1, OldestWait: -1, Conns: make([]poolinfo.Conn, 2)},
			"held, in use 2 at 0+2 of 2",
		},
		{"nothing", poolinfo.Snapshot{}, " of 1"},
	} {
		b := (&poolView{poolDoc: newPoolDoc(&c.pool)}).Bar()
		got := strings.Join(each(b.Segments, func(s segment) string {
			return fmt.Sprintf("%s %s at %g+%g", s.Name, s.Count, s.X, s.Width)
		}), ", ") + fmt.Sprintf(" of %g", b.Units)
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestCharts_HaveAGapWithoutSamples(t *testing.T) {
	s := poolinfo.Snapshot{Time: start, MaxOpen: 4, HasDB: true}
	for _, h := range []struct {
		ago                     int
		held, idle, dialing, in int
		acquired                int64
	}{
		{301, 4, 0, 0, 0, 0}, // older than five minutes
		{100, 2, 0, 0, 0, 10},
		{99, 2, 2, 0, 3, 14},
		{98, 1, 0, 0, 0, 24},
		{1, 0, 0, 4, 4, 24},
		{0, 0, 0, 4, 4, 24},
	} {
		s.History = append(s.History, poolinfo.Sample{
			Time: start.Add(-time.Duration(h.ago) * time.Second), Held: h.held, Idle: h.idle, Dialing: h.dialing, Waiting: h.in, Acquired: h.acquired,
		})
	}
	var got []string
	for _, c := range (&poolView{poolDoc: newPoolDoc(&s)}).Charts() {
		got = append(got, fmt.Sprintf("%s to %s, limit %q: %s", c.Name, c.Top, c.Limit, c.Label))
		for _, curve := range c.Curves {
			got = append(got, curve.Class+" "+curve.Path)
		}
	}
	want := []string{
		`connections to 4, limit "0": held: 0 now, 4 at most; open or dialing: 4 at most`,
		"dialing M200 100V50H201V0H202V75H203V100ZM299 100V0H300V0H300V100Z",
		"idle M200 100V50H201V0H202V75H203V100ZM299 100V100H300V100H300V100Z",
		"working M200 100V50H201V50H202V75H203V100ZM299 100V100H300V100H300V100Z",
		`waiting to 4, limit "": waiting: 4 now, 4 at most`,
		"waiting M200 100V100H201V25H202V100H203V100ZM299 100V0H300V0H300V100Z",
		`acquires per second to 10, limit "": acquires per second: 0 now, 10 at most`,
		"rate M200 100V100H201V60H202V0H203V100ZM299 100V100H300V100H300V100Z",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRoundUp_ReturnsARoundNumber(t *testing.T) {
	for v, want := range map[float64]float64{0: 1, 1: 1, 2: 2, 7: 8, 9: 10, 11: 15, 41: 50, 61: 80, 99.5: 100, 101: 150, 0.2: 1} {
		if got := roundUp(v); got != want {
			t.Errorf("%g: %g, want %g", v, got, want)
		}
	}
}

// TestCSS_HasEnoughContrastInBothSchemes expects a contrast of 4.5 for text and of 3 for
// bars. Bars with a number beside them are not checked.
func TestCSS_HasEnoughContrastInBothSchemes(t *testing.T) {
	css := string(newAssets()["poolz.css"].content)
	blocks := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllStringSubmatch(css, 2)
	for i, scheme := range []string{"light", "dark"} {
		colors := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([\w-]+): #([0-9a-f]{6})`).FindAllStringSubmatch(blocks[i][1], -1) {
			colors[m[1]] = luminance(t, m[2])
		}
		for _, c := range []struct {
			text, background string
			least            float64
		}{
			{"ink", "sheet", 4.5},
			{"ink", "ground", 4.5},
			{"ink", "track", 4.5},
			{"soft", "sheet", 4.5},
			{"soft", "ground", 4.5},
			{"link", "sheet", 4.5},
			{"link", "ground", 4.5},
			{"failed", "ground", 4.5},
			{"ok", "ok-ground", 4.5},
			{"dialing", "dialing-ground", 4.5},
			{"saturated", "saturated-ground", 4.5},
			{"exhausted", "exhausted-ground", 4.5},
			{"working", "sheet", 3},
			{"unused", "sheet", 3},
			{"waiting", "sheet", 3},
			{"opening", "sheet", 3},
		} {
			a, b := colors[c.text], colors[c.background]
			if a == b {
				t.Fatalf("%s: %s and %s are one color, or none", scheme, c.text, c.background)
			}
			if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < c.least {
				t.Errorf("%s: %s on %s has a contrast of %.2f, which is below %g", scheme, c.text, c.background, ratio, c.least)
			}
		}
	}
}

// luminance is the relative luminance of a color, from 0 to 1.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	channel := func(shift uint) float64 {
		c := float64(n>>shift&0xff) / 255
		if c <= 0.03928 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(16) + 0.7152*channel(8) + 0.0722*channel(0)
}
