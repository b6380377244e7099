package errclass

import (
	"cmp"
	"errors"

	"github.com/otelpool/otelpool/poolinfo"
)

// stopped are the SQLSTATEs of a statement that the server stopped, because of a limit or
// because it was asked to, as drivers do when a context ends: PostgreSQL's, and that of
// MySQL and MariaDB. Other codes are known to the adapters.
var stopped = map[string]bool{"57014": true, "70100": true}

// stateClasses are the classes by SQLSTATE, and stateClassClasses by its first two
// characters, which the standard calls the class.
var (
	stateClasses = map[string]poolinfo.Class{
		"08004": poolinfo.ClassTooManyConnections,
		"08P01": poolinfo.ClassProtocol,
		"25006": poolinfo.ClassReadOnly,
		"25P02": poolinfo.ClassFailedTransaction,
		"25P03": poolinfo.ClassIdleInTransaction,
		"25P04": poolinfo.ClassStatementTimeout, // transaction_timeout
		"40002": poolinfo.ClassConstraint,       // found at the commit
		"40003": poolinfo.ClassOther,            // not known whether it was done: it must not be repeated without a check
		"40P01": poolinfo.ClassDeadlock,
		"53300": poolinfo.ClassTooManyConnections,
		"55P03": poolinfo.ClassLockWait,
		"57014": poolinfo.ClassStatementTimeout,
		"57P01": poolinfo.ClassKilled, // also a shutdown: the server reports both as a command of an administrator
		"57P02": poolinfo.ClassServerShutdown,
		"57P03": poolinfo.ClassServerStarting,
		"57P04": poolinfo.ClassUnknownDatabase, // dropped
		"57P05": poolinfo.ClassServerIdleTimeout,
		"70100": poolinfo.ClassKilled,
	}
	stateClassClasses = map[string]poolinfo.Class{
		"08": poolinfo.ClassNetwork,
		"0A": poolinfo.ClassStatement,
		"21": poolinfo.ClassStatement,
		"22": poolinfo.ClassConstraint,
		"23": poolinfo.ClassConstraint,
		"25": poolinfo.ClassStatement, // what the transaction does not allow
		"26": poolinfo.ClassStatement,
		"28": poolinfo.ClassAuth,
		"34": poolinfo.ClassStatement,
		"3D": poolinfo.ClassUnknownDatabase,
		"3F": poolinfo.ClassStatement,
		"40": poolinfo.ClassSerialization,
		"42": poolinfo.ClassStatement,
		"44": poolinfo.ClassConstraint,
		"54": poolinfo.ClassStatement,
	}
)

// classOfState returns the class of an SQLSTATE, "" if it has none.
func classOfState(state string) poolinfo.Class {
	if state == "" {
		return ""
	}
	return cmp.Or(stateClasses[state], stateClassClasses[state[:2]])
}

// sqlState returns the SQLSTATE that err carries, or "". The method is the one that pgx
// and lib/pq have; its value is used only if it has the form of an SQLSTATE, since it
// becomes part of a time series.
func sqlState(err error) string {
	var coded interface{ SQLState() string }
	if !errors.As(err, &coded) {
		return ""
	}
	code := coded.SQLState()
	if len(code) != 5 {
		return ""
	}
	for i := range len(code) {
		if c := code[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') {
			return ""
		}
	}
	return code
}
