package poolz

import (
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

//go:embed assets/page.html
var pageFile embed.FS

// pageTemplate is parsed for the first page.
var pageTemplate = sync.OnceValues(func() (*template.Template, error) {
	return template.ParseFS(pageFile, "assets/page.html")
})

const (
	// maxFullPools is how many pools are shown in full. If there are more, only pools
	// that are not ok are shown in full.
	maxFullPools = 4
	// holderRows and otherRows limit the rows of a table, unless the request is for all.
	holderRows = 100
	otherRows  = 12
)

// view is the part of the page that the address selects.
type view struct {
	Pool string // "" for all
	Sort string // a key of columns
	Desc bool
	All  bool // all rows
}

// column is a column of the table of holders, which can be sorted by it.
type column struct {
	Key, Label string
	number     bool // sorted by the largest first
	value      func(connDoc) (int64, string)
}

// columns are the columns of the table of holders. The first is the default order.
func columns() []column {
	holderOf := func(c connDoc) holder { return *cmp.Or(c.Holder, &holder{}) }
	return []column{
		{"held", "held", true, func(c connDoc) (int64, string) { return int64(c.For), "" }},
		{"unused", "unused for", true, func(c connDoc) (int64, string) { return int64(holderOf(c).UnusedFor), "" }},
		{"phase", "phase", false, func(c connDoc) (int64, string) { return 0, c.Phase.String() }},
		{"site", "call site", false, func(c connDoc) (int64, string) {
			f := topFrame(holderOf(c).Frames)
			return 0, f.Name() + " " + f.Where()
		}},
		{"statement", "last statement", false, func(c connDoc) (int64, string) { return 0, holderOf(c).Statement }},
		{"trace", "trace", false, func(c connDoc) (int64, string) { return 0, holderOf(c).Trace() }},
		{"conn", "conn", true, func(c connDoc) (int64, string) { return int64(c.ID), "" }}, //nolint:gosec // no pool opens so many
		{"uses", "uses", true, func(c connDoc) (int64, string) { return c.Uses, "" }},
		{"age", "age", true, func(c connDoc) (int64, string) { return int64(c.Age), "" }},
	}
}

// newView reads the query of the address, and ignores what it does not know.
func newView(q url.Values) view {
	v := view{Pool: q.Get("pool"), All: q.Get("rows") == "all"}
	all := columns()
	by := all[0]
	for _, c := range all {
		if c.Key == q.Get("sort") {
			by = c
		}
	}
	v.Sort, v.Desc = by.Key, by.number
	switch q.Get("order") {
	case "asc":
		v.Desc = false
	case "desc":
		v.Desc = true
	}
	return v
}

// link is the relative address of v.
func (v view) link() string {
	q := url.Values{}
	if v.Pool != "" {
		q.Set("pool", v.Pool)
	}
	if first := columns()[0]; v.Sort != first.Key || v.Desc != first.number {
		q.Set("sort", v.Sort)
		q.Set("order", map[bool]string{true: "desc", false: "asc"}[v.Desc])
	}
	if v.All {
		q.Set("rows", "all")
	}
	if len(q) == 0 {
		return "./"
	}
	return "?" + q.Encode()
}

// page is the data of the template.
type page struct {
	Doc      *document
	View     view
	Title    string
	CSS, JS  string // tags of the assets
	Overview []*poolView
	Shown    []*poolView
	Hidden   int // how many pools are only in the overview

	traceURL string
}

func (h *handler) writePage(w io.Writer, d *document, v view) error {
	t, err := pageTemplate()
	if err != nil {
		return err
	}
	p := &page{Doc: d, View: v, CSS: h.assets["poolz.css"].tag, JS: h.assets["poolz.js"].tag, traceURL: h.traceURL}
	notOK := 0
	for i, pool := range d.Pools {
		one := &poolView{poolDoc: pool, page: p, Anchor: "p" + strconv.Itoa(i)}
		p.Overview = append(p.Overview, one)
		if pool.State != ok {
			notOK++
		}
		if len(d.Pools) <= maxFullPools || pool.State != ok && len(p.Shown) < maxFullPools {
			p.Shown = append(p.Shown, one)
		}
	}
	p.Hidden = len(p.Overview) - len(p.Shown)
	p.Title = title(d, notOK)
	return t.Execute(w, p)
}

// title is the title of the tab.
func title(d *document, notOK int) string {
	switch {
	case len(d.Pools) == 1:
		return fmt.Sprintf("%s: %s", d.Pools[0].Name, d.Pools[0].State)
	case notOK == 0:
		return quantity(len(d.Pools), "pool", "pools") + ": ok"
	}
	return fmt.Sprintf("%d of %s: %s", notOK, quantity(len(d.Pools), "pool", "pools"), d.Pools[0].State)
}

// Clock is the time of the page.
func (p *page) Clock() string { return p.Doc.Time.Format("15:04:05") + " UTC" }

// Data is the address of the same pools in another format.
func (p *page) Data(format string) string {
	q := url.Values{"format": {format}}
	if p.View.Pool != "" {
		q.Set("pool", p.View.Pool)
	}
	return "?" + q.Encode()
}

// Profile is the address of the profile of the same pools.
func (p *page) Profile() string {
	if p.View.Pool == "" {
		return profileName
	}
	return profileName + "?" + url.Values{"pool": {p.View.Pool}}.Encode()
}

// AllRows is the address of the page with all rows of its tables.
func (p *page) AllRows() string {
	v := p.View
	v.All = true
	return v.link()
}

// AllPools is the address of the page with all pools.
func (p *page) AllPools() string {
	v := p.View
	v.Pool = ""
	return v.link()
}

// head is a column's header.
type head struct {
	column
	Sorted string // the value of aria-sort
	Link   string
	Kind   string // how its values compare: "n" or "s"
}

// Heads are the headers of the table of holders. The link of the sorted column
// reverses the order.
func (p *page) Heads() []head {
	var out []head
	for _, c := range columns() {
		h := head{column: c, Sorted: "none", Kind: "s"}
		if c.number {
			h.Kind = "n"
		}
		v := p.View
		v.Sort, v.Desc = c.Key, c.number
		if c.Key == p.View.Sort {
			v.Desc = !p.View.Desc
			h.Sorted = "ascending"
			if p.View.Desc {
				h.Sorted = "descending"
			}
		}
		h.Link = v.link()
		out = append(out, h)
	}
	return out
}

// poolView is a pool on the page.
type poolView struct {
	*poolDoc
	Anchor string

	page *page
}

// Link is the address of the page of this pool alone.
func (p *poolView) Link() string {
	v := p.page.View
	v.Pool = p.Name
	return v.link()
}

// AllRows is the address of the page with all rows of its tables.
func (p *poolView) AllRows() string { return p.page.AllRows() }

// HolderHeads are the headers of the table of holders.
func (p *poolView) HolderHeads() []head { return p.page.Heads() }

// About is what the pool connects to.
func (p *poolDoc) About() string {
	var b strings.Builder
	b.WriteString(p.System)
	switch {
	case p.Target.Address == "":
	case p.Target.Port == 0:
		fmt.Fprintf(&b, " at %s", p.Target.Address)
	default:
		fmt.Fprintf(&b, " at %s", net.JoinHostPort(p.Target.Address, strconv.Itoa(p.Target.Port)))
	}
	if p.Target.Namespace != "" {
		fmt.Fprintf(&b, ", %s", p.Target.Namespace)
	}
	if p.Server != nil && p.Server.Version != "" {
		fmt.Fprintf(&b, ", server %s", p.Server.Version)
	}
	return b.String()
}

// fact is a name and a value.
type fact struct{ Name, Value string }

// LimitFacts are the limits in words.
func (p *poolView) LimitFacts() []fact {
	number := func(n *int) string {
		if n == nil {
			return "unknown"
		}
		return strconv.Itoa(*n)
	}
	duration := func(s *seconds) string {
		switch {
		case s == nil:
			return "unknown"
		case *s == 0:
			return "for ever"
		}
		return s.String()
	}
	open := "no limit"
	switch limit := p.Limits.maxOpen(); {
	case limit < 0:
		open = "unknown"
	case limit > 0:
		open = strconv.Itoa(limit)
	}
	out := []fact{
		{"most open", open},
		{"most idle", number(p.Limits.MaxIdle)},
		{"longest life", duration(p.Limits.MaxLifetime)},
		{"longest idle", duration(p.Limits.MaxIdleTime)},
	}
	if p.Server != nil && p.Server.IdleTimeout != nil {
		out = append(out, fact{"server closes idle", "after " + p.Server.IdleTimeout.String()})
	}
	return out
}

// Numbers are the figures beside the bar.
func (p *poolView) Numbers() []fact {
	held := strconv.Itoa(p.Held)
	if p.Limits.maxOpen() > 0 {
		held += " / " + strconv.Itoa(p.Limits.maxOpen())
	}
	out := []fact{{"held", held}, {"idle", strconv.Itoa(p.Idle)}, {"dialing", strconv.Itoa(p.Dialing)}}
	if p.Waiting == nil {
		return append(out, fact{"waiting", "?"})
	}
	oldest := "–"
	if p.OldestWait != nil {
		oldest = p.OldestWait.String()
	}
	return append(out, fact{"waiting", strconv.Itoa(*p.Waiting)}, fact{"oldest wait", oldest})
}

// Tallies are the counts since the pool was opened.
func (p *poolView) Tallies() []fact {
	join := func(m map[string]int64) string {
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(m)) {
			parts = append(parts, fmt.Sprintf("%s %d", strings.ReplaceAll(k, "_", " "), m[k]))
		}
		if len(parts) == 0 {
			return "none"
		}
		return strings.Join(parts, ", ")
	}
	return []fact{
		{"opened", strconv.FormatInt(p.Opened, 10)},
		{"closed", join(p.Closed)},
		{"acquired", join(p.Acquired)},
		{"hidden retries", join(p.Retries)},
	}
}

// SizeLine is the size that the pool needs, by Little's law.
func (p *poolView) SizeLine() string {
	z := p.Size
	if z == nil {
		return "There is not enough history yet for a mean."
	}
	line := fmt.Sprintf("In the last %s %.1f connections were held on average and %d at most. With a headroom of 30 %% "+
		"this work needs %d", z.Window, z.Mean, z.Peak, z.Enough)
	if p.Limits.maxOpen() > 0 && z.Peak >= p.Limits.maxOpen() {
		return line + " or more: waiting callers are not in the mean."
	}
	return line + "."
}

// distributionRow is a row of the table of waits and holds.
type distributionRow struct {
	Name string
	distribution
}

// Distributions are the waits and the holds of the last minutes.
func (p *poolView) Distributions() []distributionRow {
	waits := "waits"
	if !p.HasDB {
		waits = "waits, inferred"
	}
	return []distributionRow{{waits, p.Waits}, {"holds", p.Holds}}
}

// rows are the rows of a table that are shown, and how many there are.
type rows[T any] struct {
	List  []T
	Total int
}

// More is how many are not shown.
func (r rows[T]) More() int { return r.Total - len(r.List) }

func shown[T any](list []T, most int, all bool) rows[T] {
	r := rows[T]{list, len(list)}
	if !all {
		r.List = list[:min(len(list), most)]
	}
	return r
}

// holderRow is a row of the table of holders.
type holderRow struct {
	connDoc
	span
	Holder holder
	Link   string // of the trace
	Values []string
}

// ShownHolders are the held connections, in the order of the view.
func (p *poolView) ShownHolders() rows[holderRow] {
	all := columns()
	i := slices.IndexFunc(all, func(c column) bool { return c.Key == p.page.View.Sort })
	by := all[max(i, 0)]
	held := slices.DeleteFunc(slices.Clone(p.Conns), func(c connDoc) bool { return c.State != poolinfo.StateHeld })
	slices.SortStableFunc(held, func(a, b connDoc) int {
		an, as := by.value(a)
		bn, bs := by.value(b)
		c := cmp.Or(cmp.Compare(an, bn), cmp.Compare(as, bs))
		if p.page.View.Desc {
			c = -c
		}
		return cmp.Or(c, cmp.Compare(a.ID, b.ID))
	})
	r := shown(held, holderRows, p.page.View.All)
	return rows[holderRow]{List: each(r.List, func(c connDoc) holderRow {
		row := holderRow{connDoc: c, Holder: *cmp.Or(c.Holder, &holder{})}
		row.span = row.Holder.span
		row.Link = p.page.trace(row.span)
		for _, col := range all {
			n, s := col.value(c)
			if col.number {
				s = strconv.FormatInt(n, 10)
			}
			row.Values = append(row.Values, s)
		}
		return row
	}), Total: r.Total}
}

// ShownIdle are the connections without a holder, the last used first.
func (p *poolView) ShownIdle() rows[connDoc] {
	free := slices.DeleteFunc(slices.Clone(p.Conns), func(c connDoc) bool { return c.State == poolinfo.StateHeld })
	slices.SortStableFunc(free, func(a, b connDoc) int { return cmp.Compare(a.For, b.For) })
	return shown(free, holderRows, p.page.View.All)
}

// waiterRow is a row of the table of waiters.
type waiterRow struct {
	waiter
	Link string
}

// ShownWaiters are the waiting callers, the longest wait first.
func (p *poolView) ShownWaiters() rows[waiterRow] {
	r := shown(p.Waiters, otherRows, p.page.View.All)
	return rows[waiterRow]{List: each(r.List, func(w waiter) waiterRow {
		return waiterRow{w, p.page.trace(w.span)}
	}), Total: r.Total}
}

// ShownClosed are the connections that were closed last, the latest first.
func (p *poolView) ShownClosed() rows[closedConn] {
	return shown(p.RecentlyClosed, otherRows, p.page.View.All)
}

// ShownReports are the last reports, the latest first.
func (p *poolView) ShownReports() rows[reportDoc] {
	return shown(p.Reports, otherRows, p.page.View.All)
}

// siteRow is a call site with its share of the held time.
type siteRow struct {
	siteDoc
	Share string
}

// ShownSites are the call sites that acquired connections, the longest held time first.
func (p *poolView) ShownSites() rows[siteRow] {
	var all seconds
	for _, s := range p.Sites {
		all += s.Held
	}
	r := shown(p.Sites, otherRows, p.page.View.All)
	return rows[siteRow]{List: each(r.List, func(s siteDoc) siteRow {
		return siteRow{s, percent(s.Held, all)}
	}), Total: r.Total}
}

func percent(part, all seconds) string {
	if all <= 0 {
		return "–"
	}
	share := 100 * time.Duration(part).Seconds() / time.Duration(all).Seconds()
	switch {
	case share > 0 && share < 1:
		return "< 1 %"
	case share > 99 && share < 100:
		return "> 99 %"
	}
	return fmt.Sprintf("%.0f %%", share)
}

// Ago is the time from t to the snapshot.
func (p *poolView) Ago(t time.Time) string {
	d := max(p.Time.Sub(t), 0)
	if d < time.Minute {
		d = d.Truncate(time.Second)
		return fmt.Sprintf("%d s ago", d/time.Second)
	}
	return seconds(d).String() + " ago"
}

// Stamp is t for the attribute datetime.
func (p *poolView) Stamp(t time.Time) string { return t.Format(time.RFC3339Nano) }

// Trace is the trace id, "" without one.
func (s span) Trace() string {
	if s.TraceID == nil {
		return ""
	}
	return *s.TraceID
}

// ShortTrace is the beginning of the trace id.
func (s span) ShortTrace() string {
	id := s.Trace()
	return id[:min(len(id), 8)]
}

// trace is the address of a trace, "" if there is none.
func (p *page) trace(s span) string {
	if p.traceURL == "" || s.TraceID == nil {
		return ""
	}
	spanID := ""
	if s.SpanID != nil {
		spanID = *s.SpanID
	}
	return strings.NewReplacer("{trace_id}", *s.TraceID, "{span_id}", spanID).Replace(p.traceURL)
}

// PhaseList is the number of holders of the group in each phase.
func (g group) PhaseList() string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(g.Phases)) {
		if n := g.Phases[k]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, k))
		}
	}
	return strings.Join(parts, ", ")
}
