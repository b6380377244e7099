package telemetry

import (
	"sync"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// maxSystems bounds how many database systems one pool keeps apart.
const maxSystems = 4

// systemTelemetry is what is recorded of operations on one database system.
type systemTelemetry struct {
	name        string
	statements  *statements
	noStatement *Statement // of an operation that has no text
}

// systems are those of one pool, by name. There is one, unless the servers turn out to
// be what the driver was not written for, such as MariaDB.
type systems struct {
	base []attribute.KeyValue // of every operation, but for the system

	mu    sync.Mutex // guards known
	known map[string]*systemTelemetry
}

// UseSystem records operations as those of a database system from now on. It reports
// false if there were too many of them.
func (t *Telemetry) UseSystem(name string) bool {
	all := &t.systems
	all.mu.Lock()
	defer all.mu.Unlock()
	s := all.known[name]
	if s == nil {
		if len(all.known) >= maxSystems {
			return false
		}
		statements := newStatements(&t.cfg, with(all.base, semconv.DBSystemNameKey.String(name)), name)
		s = &systemTelemetry{
			name:        name,
			statements:  statements,
			noStatement: &Statement{start: clientSpan(statements.base), series: statements.overflow},
		}
		if all.known == nil {
			all.known = map[string]*systemTelemetry{}
		}
		all.known[name] = s
	}
	t.system.Store(s)
	return true
}

// System returns db.system.name, as far as it is known by now.
func (t *Telemetry) System() string { return t.system.Load().name }

// NoStatement returns the statement of an operation that has no text.
func (t *Telemetry) NoStatement() *Statement { return t.system.Load().noStatement }

// Statement returns what is recorded of a text.
func (t *Telemetry) Statement(text string) *Statement {
	return t.system.Load().statements.cache.Get(text)
}
