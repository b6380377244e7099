package poolz

import (
	"cmp"
	"fmt"
	"math"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/poolinfo"
)

// schema is the version of the JSON document. It changes when a field is renamed or
// removed, or means something else; not when one is added.
const schema = 1

// document is what ?format=json returns. The page and the text are made from it.
// Durations are seconds; what is not known is null; a list is never null.
type document struct {
	Schema int        `json:"schema"`
	Time   time.Time  `json:"time"`
	Pools  []*poolDoc `json:"pools"`
}

type poolDoc struct {
	Name     string    `json:"name"`
	System   string    `json:"system"`
	Time     time.Time `json:"time"`
	HasDB    bool      `json:"has_db"`
	State    state     `json:"state"`
	Sentence string    `json:"sentence"`
	Findings []finding `json:"findings"`

	Limits limits     `json:"limits"`
	Target endpoint   `json:"target"`
	Server *serverDoc `json:"server"`

	Open       int      `json:"open"`
	Held       int      `json:"held"`
	Idle       int      `json:"idle"`
	Dialing    int      `json:"dialing"`
	Waiting    *int     `json:"waiting"`
	OldestWait *seconds `json:"oldest_wait"`

	Opened   int64              `json:"opened"`
	Closed   map[string]int64   `json:"closed"`
	Acquired map[string]int64   `json:"acquired"`
	Retries  map[string]int64   `json:"retries"`
	HeldTime map[string]seconds `json:"held_time"`
	Waits    distribution       `json:"waits"`
	Holds    distribution       `json:"holds"`
	Size     *size              `json:"size"`

	Groups         []group       `json:"groups"`
	Conns          []connDoc     `json:"conns"`
	WaiterGroups   []waiterGroup `json:"waiter_groups"`
	Waiters        []waiter      `json:"waiters"`
	Sites          []siteDoc     `json:"sites"`
	History        []sample      `json:"history"`
	RecentlyClosed []closedConn  `json:"recently_closed"`
	Reports        []reportDoc   `json:"reports"`
}

// limits are as they were set: zero means what it means for database/sql, nil is not known.
type limits struct {
	MaxOpen     *int     `json:"max_open"`
	MaxIdle     *int     `json:"max_idle"`
	MaxLifetime *seconds `json:"max_lifetime"`
	MaxIdleTime *seconds `json:"max_idle_time"`
}

// maxOpen is the limit of open connections, 0 for none and -1 if it is not known.
func (l *limits) maxOpen() int {
	if l.MaxOpen == nil {
		return -1
	}
	return *l.MaxOpen
}

type endpoint struct {
	Address   string `json:"address"`
	Port      int    `json:"port"`
	Namespace string `json:"namespace"`
}

type serverDoc struct {
	System      string   `json:"system"`
	Version     string   `json:"version"`
	Address     string   `json:"address"`
	Port        int      `json:"port"`
	IdleTimeout *seconds `json:"idle_timeout"`
}

type distribution struct {
	Count int64   `json:"count"`
	P50   seconds `json:"p50"`
	P90   seconds `json:"p90"`
	P95   seconds `json:"p95"`
	P99   seconds `json:"p99"`
	Most  seconds `json:"most"`
}

// longUnused is how long a holder leaves its connection unused before the page
// reports it.
const longUnused = seconds(time.Second)

// group is the holders whose connections were acquired with the same stack. Unused is
// how many of them have not used their connection for a second or more.
type group struct {
	Count   int            `json:"count"`
	Unused  int            `json:"unused"`
	Longest seconds        `json:"longest"`
	Phases  map[string]int `json:"phases"`
	Frames  []frame        `json:"frames"`
}

type connDoc struct {
	ID    uint64         `json:"id"`
	State poolinfo.State `json:"state"`
	For   seconds        `json:"for"`
	Age   seconds        `json:"age"`
	Uses  int64          `json:"uses"`

	Phase    poolinfo.Phase     `json:"phase"`
	Source   poolinfo.Source    `json:"source"`
	HeldTime map[string]seconds `json:"held_time"`
	Holder   *holder            `json:"holder"`
}

// holder is who holds a connection. UnusedFor is how long it has not used it.
type holder struct {
	ConnID    uint64         `json:"conn_id"`
	Held      seconds        `json:"held"`
	Phase     poolinfo.Phase `json:"phase"`
	InPhase   seconds        `json:"in_phase"`
	UnusedFor seconds        `json:"unused_for"`
	Statement string         `json:"statement"`
	span
	Frames []frame `json:"frames"`
}

// waiterGroup is the waiters with the same stack.
type waiterGroup struct {
	Count  int      `json:"count"`
	Oldest *seconds `json:"oldest"`
	Frames []frame  `json:"frames"`
}

type waiter struct {
	Waited *seconds `json:"waited"`
	span
	Frames []frame `json:"frames"`
}

// siteDoc is a call site that acquired connections. Kind is "site", "short" for all
// holds of less than a millisecond, or "unknown" for those whose callers were not
// recorded.
type siteDoc struct {
	Kind   string  `json:"kind"`
	Holds  int64   `json:"holds"`
	Held   seconds `json:"held"`
	Frames []frame `json:"frames"`
}

type sample struct {
	Time       time.Time `json:"time"`
	Held       int       `json:"held"`
	Idle       int       `json:"idle"`
	Dialing    int       `json:"dialing"`
	Waiting    *int      `json:"waiting"`
	OldestWait *seconds  `json:"oldest_wait"`
	Acquired   int64     `json:"acquired"`
	Opened     int64     `json:"opened"`
	HeldTime   seconds   `json:"held_time"`
}

type closedConn struct {
	Time      time.Time       `json:"time"`
	ConnID    uint64          `json:"conn_id"`
	Reason    poolinfo.Reason `json:"reason"`
	Class     string          `json:"class"`
	Age       seconds         `json:"age"`
	Idle      seconds         `json:"idle"`
	Uses      int64           `json:"uses"`
	ErrorType string          `json:"error_type"`
	Code      string          `json:"code"`
	Server    *serverDoc      `json:"server"`
	Advice    string          `json:"advice"`
	Sentence  string          `json:"sentence"`
}

type reportDoc struct {
	Kind          string           `json:"kind"`
	Time          time.Time        `json:"time"`
	Sentence      string           `json:"sentence"`
	MaxOpen       *int             `json:"max_open"`
	Held          int              `json:"held"`
	Idle          int              `json:"idle"`
	Dialing       int              `json:"dialing"`
	Waiting       int              `json:"waiting"`
	OldestWait    seconds          `json:"oldest_wait"`
	Holder        *holder          `json:"holder"`
	Verdict       string           `json:"verdict"`
	Groups        []reportGroup    `json:"groups"`
	SelfDeadlocks []selfDeadlock   `json:"self_deadlocks"`
	Length        seconds          `json:"length"`
	Waited        int64            `json:"waited"`
	Failed        int64            `json:"failed"`
	Lost          map[string]int64 `json:"lost"`
}

// reportGroup is a group at the time of the report. InCode is how many of its holders
// had spent less than half of their hold in the database.
type reportGroup struct {
	Count   int            `json:"count"`
	InCode  int            `json:"in_code"`
	Longest seconds        `json:"longest"`
	Phases  map[string]int `json:"phases"`
	Frames  []frame        `json:"frames"`
}

type selfDeadlock struct {
	Holder holder `json:"holder"`
	Waiter waiter `json:"waiter"`
}

// span is the span that acquires or acquired a connection; null without one.
type span struct {
	TraceID *string `json:"trace_id"`
	SpanID  *string `json:"span_id"`
}

type frame struct {
	Function string `json:"function"`
	File     string `json:"file"`
	Line     int    `json:"line"`
}

// seconds is a duration, rounded to the microsecond in JSON.
type seconds time.Duration

// MarshalJSON makes it a number.
func (s seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, math.Round(time.Duration(s).Seconds()*1e6)/1e6, 'f', -1, 64), nil
}

// String is the duration for a reader, in its two largest units at most.
func (s seconds) String() string {
	d := time.Duration(s)
	switch {
	case d <= 0:
		return "0s"
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", max(1, d.Microseconds()))
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1fms", float64(d.Truncate(100*time.Microsecond).Microseconds())/1e3)
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Truncate(100*time.Millisecond).Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// newDocument is about the pools named name, or all pools if name is empty, the worst
// first.
func newDocument(now time.Time, all []poolinfo.Snapshot, name string) *document {
	d := &document{Schema: schema, Time: now.UTC(), Pools: []*poolDoc{}}
	for i := range all {
		if name == "" || all[i].Pool == name {
			d.Pools = append(d.Pools, newPoolDoc(&all[i]))
		}
	}
	slices.SortStableFunc(d.Pools, func(a, b *poolDoc) int {
		return cmp.Or(cmp.Compare(b.State.rank(), a.State.rank()), cmp.Compare(a.Name, b.Name))
	})
	return d
}

func newPoolDoc(s *poolinfo.Snapshot) *poolDoc {
	p := &poolDoc{
		Name: s.Pool, System: s.System, Time: s.Time.UTC(), HasDB: s.HasDB,
		Limits: limits{
			MaxOpen: known(s.MaxOpen), MaxIdle: known(s.MaxIdle),
			MaxLifetime: limitOf(s.MaxLifetime), MaxIdleTime: limitOf(s.MaxIdleTime),
		},
		Target: endpoint{s.Target.Address, s.Target.Port, s.Target.Namespace},
		Server: serverOf(s.Server),
		Open:   s.Open, Held: s.Held, Idle: s.Idle, Dialing: s.Dialing,
		Opened: s.Opened, Closed: byName(s.Closed), Acquired: byName(s.Acquired), Retries: counts(s.Retries),
		HeldTime: durations(s.HeldTime),
		Waits:    distributionOf(s.Waits), Holds: distributionOf(s.Holds),
		Size: sizeOf(s.History),
	}
	if s.HasDB {
		p.Waiting = &s.Waiting
		if s.Waiting > 0 {
			p.OldestWait = secondsPtr(s.OldestWait)
		}
	}
	p.Conns = each(s.Conns, connOf)
	p.Waiters = each(s.Waiters, waiterOf)
	p.Sites = each(s.Sites, siteOf)
	p.History = each(s.History, func(h poolinfo.Sample) sample { return sampleOf(h, s.HasDB) })
	p.RecentlyClosed = each(s.RecentlyClosed, closedConnOf)
	p.Reports = each(s.Reports, reportOf)
	p.Groups = groupsOf(p.Conns)
	p.WaiterGroups = waiterGroupsOf(p.Waiters)
	p.State = stateOf(s)
	p.Sentence = sentence(s, p)
	p.Findings = findingsOf(s)
	return p
}

func connOf(c poolinfo.Conn) connDoc {
	d := connDoc{
		ID: c.ID, State: c.State, For: seconds(c.For), Age: seconds(c.Age), Uses: c.Uses,
		Phase: c.Phase, Source: c.Source, HeldTime: durations(c.HeldTime),
	}
	if c.Holder != nil {
		h := holderOf(*c.Holder)
		d.Holder = &h
	}
	return d
}

func holderOf(h poolinfo.Holder) holder {
	return holder{
		ConnID: h.ConnID, Held: seconds(h.Held), Phase: h.Phase, InPhase: seconds(h.InPhase), UnusedFor: seconds(h.Idle),
		Statement: h.Statement, span: newSpan(h.Span), Frames: framesOf(h.CallSite.Frames()),
	}
}

func waiterOf(w poolinfo.Waiter) waiter {
	d := waiter{span: newSpan(w.Span), Frames: framesOf(w.CallSite.Frames())}
	if w.Waited >= 0 {
		d.Waited = secondsPtr(w.Waited)
	}
	return d
}

func siteOf(s poolinfo.Site) siteDoc {
	d := siteDoc{Kind: "site", Holds: s.Holds, Held: seconds(s.Held), Frames: framesOf(s.CallSite.Frames())}
	switch {
	case s.Short:
		d.Kind = "short"
	case len(d.Frames) == 0:
		d.Kind = "unknown"
	}
	return d
}

func sampleOf(h poolinfo.Sample, hasDB bool) sample {
	s := sample{
		Time: h.Time.UTC(), Held: h.Held, Idle: h.Idle, Dialing: h.Dialing,
		Acquired: h.Acquired, Opened: h.Opened, HeldTime: seconds(h.HeldTime),
	}
	if hasDB {
		s.Waiting = &h.Waiting
		if h.Waiting > 0 {
			s.OldestWait = secondsPtr(h.OldestWait)
		}
	}
	return s
}

func closedConnOf(d poolinfo.ClosedConn) closedConn {
	return closedConn{
		Time: d.Time.UTC(), ConnID: d.ConnID, Reason: d.Reason, Class: string(d.Class),
		Age: seconds(d.Age), Idle: seconds(d.Idle), Uses: d.Uses, ErrorType: d.ErrorType, Code: d.Code,
		Server: serverOf(d.Server), Advice: d.Advice, Sentence: d.String(),
	}
}

func reportOf(r poolinfo.Report) reportDoc {
	out := reportDoc{
		Kind: string(r.Kind), Time: r.Time.UTC(), MaxOpen: known(r.MaxOpen), Held: r.Held, Idle: r.Idle, Dialing: r.Dialing,
		Waiting: r.Waiting, OldestWait: seconds(r.OldestWait), Verdict: string(r.Verdict),
		Sentence: r.String(),
		Groups: each(r.Groups, func(g poolinfo.HolderGroup) reportGroup {
			return reportGroup{
				Count: g.Count, InCode: g.InCode, Longest: seconds(g.Longest.Held), Phases: byName(g.Phases),
				Frames: framesOf(g.Longest.CallSite.Frames()),
			}
		}),
		SelfDeadlocks: each(r.SelfDeadlocks, func(d poolinfo.SelfDeadlock) selfDeadlock {
			return selfDeadlock{Holder: holderOf(d.Holder), Waiter: waiterOf(d.Waiter)}
		}),
		Length: seconds(r.Length), Waited: r.Waited, Failed: r.Failed, Lost: map[string]int64{},
	}
	if r.Holder != nil {
		h := holderOf(*r.Holder)
		out.Holder = &h
	}
	for class, n := range r.Lost {
		out.Lost[string(class)] = n
	}
	return out
}

// groupsOf groups holders by the stack that acquired their connections: the largest
// group first, groups of one size by their longest hold.
func groupsOf(conns []connDoc) []group {
	out := []group{}
	at := map[string]int{}
	for _, c := range conns {
		if c.State != poolinfo.StateHeld {
			continue
		}
		var frames []frame
		var unused seconds
		if c.Holder != nil {
			frames, unused = c.Holder.Frames, c.Holder.UnusedFor
		}
		i, ok := at[stackKey(frames)]
		if !ok {
			i = len(out)
			at[stackKey(frames)] = i
			out = append(out, group{Phases: map[string]int{}, Frames: notNil(frames)})
		}
		g := &out[i]
		g.Count++
		g.Phases[c.Phase.String()]++
		g.Longest = max(g.Longest, c.For)
		if unused >= longUnused {
			g.Unused++
		}
	}
	slices.SortStableFunc(out, func(a, b group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(b.Longest, a.Longest))
	})
	return out
}

func waiterGroupsOf(waiters []waiter) []waiterGroup {
	out := []waiterGroup{}
	at := map[string]int{}
	for _, w := range waiters {
		i, ok := at[stackKey(w.Frames)]
		if !ok {
			i = len(out)
			at[stackKey(w.Frames)] = i
			// The list begins with the longest wait.
			out = append(out, waiterGroup{Oldest: w.Waited, Frames: w.Frames})
		}
		out[i].Count++
	}
	slices.SortStableFunc(out, func(a, b waiterGroup) int { return cmp.Compare(b.Count, a.Count) })
	return out
}

// stackKey identifies a whole stack. One frame is not enough: many callers may acquire
// through one function.
func stackKey(frames []frame) string { return fmt.Sprint(frames) }

// topFrame is the innermost frame of a stack: the call site.
func topFrame(frames []frame) frame {
	if len(frames) == 0 {
		return frame{}
	}
	return frames[0]
}

func framesOf(frames []runtime.Frame) []frame {
	return each(frames, func(f runtime.Frame) frame { return frame{f.Function, f.File, f.Line} })
}

// Where is the file with its folder, and the line.
func (f frame) Where() string {
	if f.File == "" {
		return ""
	}
	file := filepath.ToSlash(f.File)
	return fmt.Sprintf("%s:%d", path.Join(path.Base(path.Dir(file)), path.Base(file)), f.Line)
}

// Brief is the file and line alone.
func (f frame) Brief() string {
	if f.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", path.Base(filepath.ToSlash(f.File)), f.Line)
}

// Name is the function without the path of its package.
func (f frame) Name() string { return f.Function[strings.LastIndexByte(f.Function, '/')+1:] }

func newSpan(s trace.SpanContext) span {
	var out span
	if s.HasTraceID() {
		id := s.TraceID().String()
		out.TraceID = &id
	}
	if s.HasSpanID() {
		id := s.SpanID().String()
		out.SpanID = &id
	}
	return out
}

func serverOf(s poolinfo.Server) *serverDoc {
	if s == (poolinfo.Server{}) {
		return nil
	}
	d := &serverDoc{System: s.System, Version: s.Version, Address: s.Address, Port: s.Port}
	if s.IdleTimeout > 0 {
		d.IdleTimeout = secondsPtr(s.IdleTimeout)
	}
	return d
}

func distributionOf(d poolinfo.Distribution) distribution {
	return distribution{d.Count, seconds(d.P50), seconds(d.P90), seconds(d.P95), seconds(d.P99), seconds(d.Most)}
}

func secondsPtr(d time.Duration) *seconds {
	s := seconds(d)
	return &s
}

// limitOf is nil for a limit that is not known.
func limitOf(d time.Duration) *seconds {
	if d < 0 {
		return nil
	}
	return secondsPtr(d)
}

func known(n int) *int {
	if n < 0 {
		return nil
	}
	return &n
}

func durations(m map[poolinfo.Phase]time.Duration) map[string]seconds {
	out := make(map[string]seconds, len(m))
	for phase, d := range m {
		out[phase.String()] = seconds(d)
	}
	return out
}

// byName has the texts of the keys of m as its keys. It is never nil.
func byName[K interface {
	comparable
	fmt.Stringer
}, V any](m map[K]V) map[string]V {
	out := make(map[string]V, len(m))
	for k, v := range m {
		out[k.String()] = v
	}
	return out
}

// counts is never nil.
func counts(m map[string]int64) map[string]int64 {
	if m == nil {
		return map[string]int64{}
	}
	return m
}

func notNil(frames []frame) []frame {
	if frames == nil {
		return []frame{}
	}
	return frames
}

func each[A, B any](list []A, f func(A) B) []B {
	out := make([]B, len(list))
	for i, a := range list {
		out[i] = f(a)
	}
	return out
}
