package otelpool_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// One word for one thing, and the word that a reader who knows Go, database/sql and
// OpenTelemetry expects. This file holds the words that are not used here any more, what
// to write instead, and the exceptions.

// A scope says where a word is searched for.
type scope int

const (
	// anywhere is for words that mean nothing to a reader from outside: comments, strings,
	// documents, and the words of which declared names consist.
	anywhere scope = iota
	// inName is for words that are plain English in a sentence and a riddle in a name:
	// the words of which declared names consist, except names of tests.
	inName
	// wholeName is for names that consist of this word only.
	wholeName
	// productName is as wholeName, in product code only: in a test the word may be clear.
	productName
	// productMember is as productName, for receivers, parameters, results and fields.
	productMember
	// productExport is for one exported name at package level of product code; case counts.
	productExport
)

// A rule is a word, or a phrase, that is not used any more.
type rule struct {
	old   string // words in lower case, except for productExport
	where scope
	say   string
	under string // folders to which the rule is limited; "." is the root package, "" is everywhere
}

// A name that stands in the column say is never a finding.
var vocabulary = []rule{
	// Words of our own.
	{old: "tell", say: "record, emit, report"},
	{old: "tells", say: "records, emits, reports"},
	{old: "told", say: "recorded, emitted, reported, attributed"},
	{old: "telling", say: "recording, emitting, reporting"},
	{old: "hop", say: "retry"},
	{old: "hops", say: "retries"},
	{old: "in vain", say: "without getting a connection"},
	{old: "died bad", say: "closed as bad"},
	{old: "called all bad", say: "every connection tried was bad"},
	{old: "lost each other's thread", say: "protocol error: driver and server out of sync"},
	{old: "not to be had", say: "timed out waiting for"},
	{old: "nobody answers", say: "connection attempt timed out"},
	{old: "does not talk to", say: "has blocked"},
	{old: "has connections again", say: "recovered"},
	{old: "seemed forgotten", say: "suspected leak"},
	{old: "seems forgotten", say: "suspected leak"},
	{old: "do little with", say: "are not using"},
	{old: "does little with", say: "is not using"},
	{old: "is nobody's", say: "is attributed to no caller"},
	{old: "whoever", say: "the caller, the goroutine, the program"},
	{old: "put down", say: "deferReason"},
	{old: "puts down", say: "deferReason"},
	{old: "condemn", say: "markBroken"},
	{old: "condemns", say: "markBroken"},
	{old: "condemned", say: "marked as broken"},
	{old: "blame", say: "classifyFailure"},
	{old: "blames", say: "classifyFailure"},
	{old: "blamed", say: "classifyFailure"},
	{old: "trouble", say: "lastFailure"},
	{old: "troubles", say: "failures"},
	{old: "doubt", say: "unknown, unconfirmed"},
	{old: "doubts", say: "unknown, unconfirmed"},
	{old: "doubted", say: "unknown, unconfirmed"},
	{old: "doubtful", say: "unknown, unconfirmed"},
	{old: "believe", say: "assume"},
	{old: "believes", say: "assumes"},
	{old: "believed", say: "assumed"},
	{old: "come by", say: "pass through"},
	{old: "comes by", say: "passes through"},
	{old: "came by", say: "passedThrough"},
	{old: "coming by", say: "passing through"},

	// Plain English, but not as a name.
	{old: "said", where: inName, say: "driverNotice, onNotice"},
	{old: "say", where: inName, say: "driverNotice, onNotice"},
	{old: "says", where: inName, say: "driverNotice, onNotice"},
	{old: "heard", where: inName, say: "driverNotice, onNotice"},
	{old: "fine", where: inName, say: "lastSuccess, markHealthy"},
	{old: "well", where: inName, say: "lastSuccess, markHealthy"},
	{old: "death", where: inName, say: "ClosedConn"},
	{old: "deaths", where: inName, say: "recentlyClosed"},
	{old: "died", where: inName, say: "recordClosed"},
	{old: "quiet", where: inName, say: "idleFor, quietPeriod"},
	{old: "finder", where: inName, say: "brokenFoundBy"},
	{old: "behind", where: inName, say: "waitersMark"},
	{old: "since", where: productName, say: "waitBaseline, waitersSince, stateSince"},
	{old: "reach", where: inName, say: "setServer, probeServer"},
	{old: "meet", where: inName, say: "setServer, probeServer"},
	{old: "met", where: inName, say: "setServer, probeServer"},
	{old: "elsewhere", where: inName, say: "serverAttrs"},
	{old: "none", where: productName, say: "noStatement"},
	{old: "nothing", where: productName, say: "overflowSeries"},
	{old: "of", where: wholeName, say: "systemName, series, dialKey"},
	{old: "is of", where: inName, say: "useSystem"},
	{old: "ask", where: inName, say: "beginAcquire"},
	{old: "asks", where: inName, say: "beginAcquire"},
	{old: "asking", where: inName, say: "acquireFrom(ctx)"},
	{old: "asked", where: inName, say: "requestedAt"},
	{old: "served", where: productName, say: "acquired"},
	{old: "not served", where: inName, say: "acquireFailed"},
	{old: "over", where: inName, say: "finished, endedAt, contextClass, closedChan"},
	{old: "late", where: inName, say: "spanAtEnd, lateSeen, longestPlainWait"},
	{old: "noted", where: inName, say: "pendingAttrs, hasStack, recordRead"},
	{old: "exact", where: wholeName, say: "hasDB"},
	{old: "subject", where: inName, say: "systemTelemetry"},
	{old: "place", where: inName, say: "closedBy, callSite, topFrame"},
	{old: "settle", where: inName, say: "resolveReasons"},
	{old: "mark", where: productName, say: "WaitMark, heldAtAcquire"},
	{old: "spread", where: inName, say: "Histogram, distributions"},
	{old: "spreads", where: inName, say: "histograms, distributions"},
	{old: "Counts", where: productExport, say: "HistogramCounts", under: "internal"},
	{old: "explain", where: productName, say: "SetCallSite"},
	{old: "in the way of", where: inName, say: "Blockers"},
	{old: "guess", where: inName, say: "what the queue reports"},
	{old: "take", where: productName, say: "Reserve"},
	{old: "put back", where: inName, say: "Unreserve"},
	{old: "ripe", where: inName, say: "due"},
	{old: "few", where: productName, say: "pending"},
	{old: "calm", where: inName, say: "quietPeriod"},
	{old: "short", where: productName, say: "minHold"},
	{old: "noticeable", where: inName, say: "longHold"},
	{old: "watchful", where: inName, say: "capturingUntil"},
	{old: "passers", where: inName, say: "countPassed"},
	{old: "excuse", where: inName, say: "recoverAdapter, recoverHook"},
	{old: "absent", where: inName, say: "recoverAdapter, recoverHook"},
	{old: "judged", where: inName, say: "byVerdict"},
	{old: "in", where: productMember, say: "inner; of instruments: t"},
	{old: "k", where: productMember, say: "call", under: ". internal/telemetry internal/monitor internal/ledger"},
	{old: "identify", where: wholeName, say: "setSpan"},
	{old: "span of", where: inName, say: "spanContext"},
	{old: "grant", where: inName, say: "create"},
	{old: "maker", where: inName, say: "builder"},
	{old: "Outcome", where: productExport, say: "StatementResult", under: "."},
	{old: "Statement", where: productExport, say: "StatementInfo", under: "."},
	{old: "Failure", where: productExport, say: "ErrorInfo", under: "."},
	{old: "Deadlock", where: productExport, say: "SelfDeadlock", under: "."},
}

// An exception lets a word stand in some files.
type exception struct {
	files  string // a file, a pattern of path.Match, or a folder with a slash at its end
	word   string // as in the rule
	reason string
}

// An exception that matches nothing any more fails the test: take it out.
var exceptions = []exception{
	{files: "internal/ledger/*.go", word: "doubt", reason: "the guess about free connections goes with the queue of database/sql; it moved as it was"},
	{files: "internal/ledger/*.go", word: "doubts", reason: "the same"},
	{files: "internal/ledger/*.go", word: "doubted", reason: "the same"},
	{files: "pool.go", word: "doubt", reason: "its lock"},
	{files: "internal/ledger/site.go", word: "short", reason: "Site.Short marks the holds that are shorter than ShortHold"},
	{files: "poolinfo/snapshot.go", word: "short", reason: "the same, as the program sees it"},
	{files: "internal/errclass/class.go", word: "of", reason: "errclass.Of reads as a sentence where it is called"},
	{files: "internal/fakedb/fakedb.go", word: "quiet", reason: "Quiet switches the log off, the usual word for that"},
	{files: "example/figures.go", word: "over", reason: "usedOverTime is a series over time"},
}

// notRead lists what is not ours to word, by file, pattern or folder.
var notRead = []exception{
	{files: ".git/", reason: "what git keeps"},
	{files: ".ci/cache/", reason: "what CI keeps"},
	{files: "libraries/shop/testdata/", reason: "statements that the libraries write"},
	{files: "vocabulary*_test.go", reason: "the words themselves"},
}

// notProduct lists the folders of tests, benchmarks, demonstrations and tools.
var notProduct = []string{
	"benchmarks", "browser", "dashboards", "dbtest", "e2e", "example", "internal/fakedb", "libraries", "tools",
}

func TestVocabulary_IsKept(t *testing.T) {
	s := newSearch(vocabulary, exceptions)
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if d.IsDir() {
			if matchesAny(notRead, name+"/") {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || matchesAny(notRead, name) || !isText(name) {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return s.file(name, text)
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.files < 200 {
		t.Errorf("only %d files were searched", s.files)
	}

	perFolder := map[string]int{}
	var folders []string
	for _, f := range s.found {
		folder := path.Dir(f.file)
		if perFolder[folder]++; perFolder[folder] == 1 {
			folders = append(folders, folder)
		}
	}
	slices.Sort(folders)
	for _, folder := range folders {
		var lines strings.Builder
		for _, f := range s.found {
			if path.Dir(f.file) == folder {
				fmt.Fprintf(&lines, "\n%s", f)
			}
		}
		t.Errorf("%s: %d%s", folder, perFolder[folder], &lines)
	}
	t.Logf("%d findings in %d files", len(s.found), s.files)
	for _, folder := range folders {
		t.Logf("%5d %s", perFolder[folder], folder)
	}
	for _, e := range s.unused() {
		t.Errorf("the exception for %q in %s matches nothing any more; take it out", e.word, e.files)
	}
}

func TestVocabulary_ItsTablesAreSound(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range vocabulary {
		key := r.old + " " + r.under
		if seen[key] {
			t.Errorf("%q is listed twice", r.old)
		}
		seen[key] = true
		if r.say == "" {
			t.Errorf("%q: nothing to say instead", r.old)
		}
		if got := joinWords(r.old); r.where != productExport && got != r.old {
			t.Errorf("%q can never match, as text is read as %q", r.old, got)
		}
	}
	for _, e := range exceptions {
		if e.reason == "" {
			t.Errorf("%q in %s: no reason", e.word, e.files)
		}
		if !slices.ContainsFunc(vocabulary, func(r rule) bool { return r.old == e.word }) {
			t.Errorf("%q in %s: no such word in the vocabulary", e.word, e.files)
		}
	}
}
