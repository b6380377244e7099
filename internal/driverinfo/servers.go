package driverinfo

import (
	"cmp"
	"math"
	"sync"
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

// maxVersions bounds for how many versions of the server its answer is kept, and answerAge
// for how long: another server of the same version may answer otherwise.
const (
	maxVersions = 16
	answerAge   = time.Minute
)

// Servers is what is known of the servers that a pool has reached.
type Servers struct {
	mu      sync.Mutex // guards what follows
	last    poolinfo.Server
	answers map[string]answer // by the version that was known before
}

// answer is the answer of a server to a query.
type answer struct {
	poolinfo.Server
	at time.Duration // when it was queried
}

// Claim reports whether a server of the version is to be queried now; no other dial queries it
// then.
func (all *Servers) Claim(version string, now time.Duration) bool {
	all.mu.Lock()
	defer all.mu.Unlock()
	known, ok := all.answers[version]
	if ok && now-known.at < answerAge || !ok && len(all.answers) >= maxVersions {
		return false
	}
	if all.answers == nil {
		all.answers = map[string]answer{}
	}
	known.at = now // what is known stays until there is an answer
	all.answers[version] = known
	return true
}

// SetAnswer keeps the answer of a server of the version.
func (all *Servers) SetAnswer(version string, one poolinfo.Server, now time.Duration) {
	all.mu.Lock()
	all.answers[version] = answer{one, now}
	all.mu.Unlock()
}

// Stop keeps servers of the version from being queried again.
func (all *Servers) Stop(version string) {
	all.mu.Lock()
	all.answers[version] = answer{all.answers[version].Server, math.MaxInt64}
	all.mu.Unlock()
}

// Unclaim lets another dial query servers of the version.
func (all *Servers) Unclaim(version string) {
	all.mu.Lock()
	delete(all.answers, version)
	all.mu.Unlock()
}

// SetLast keeps the server that the last connection has reached.
func (all *Servers) SetLast(one poolinfo.Server) {
	all.mu.Lock()
	all.last = one
	all.mu.Unlock()
}

// Latest returns the server that the last connection has reached.
func (all *Servers) Latest() poolinfo.Server {
	all.mu.Lock()
	last := all.last
	all.mu.Unlock()
	return all.Complete(last)
}

// Complete adds the answer of a server of the same version.
func (all *Servers) Complete(one poolinfo.Server) poolinfo.Server {
	all.mu.Lock()
	answer := all.answers[one.Version].Server
	all.mu.Unlock()
	return poolinfo.Server{
		System:      cmp.Or(answer.System, one.System),
		Version:     cmp.Or(answer.Version, one.Version),
		Address:     one.Address,
		Port:        one.Port,
		IdleTimeout: cmp.Or(one.IdleTimeout, answer.IdleTimeout),
	}
}
