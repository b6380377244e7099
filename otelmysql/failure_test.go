package otelmysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/otelpool/otelpool"
)

func TestClassify_ReturnsNumberAndClassOfServerErrors(t *testing.T) {
	for _, tc := range []struct {
		number uint16
		state  string
		want   otelpool.Class
	}{
		{1045, "28000", otelpool.ClassAuth},
		{1044, "42000", otelpool.ClassAuth},
		{1130, "HY000", otelpool.ClassAuth},
		{1698, "28000", otelpool.ClassAuth},
		{3118, "HY000", otelpool.ClassAuth},
		{4151, "HY000", otelpool.ClassAuth},
		{9999, "28000", otelpool.ClassAuth},
		{3159, "HY000", otelpool.ClassTLS},
		{1049, "42000", otelpool.ClassUnknownDatabase},
		{1040, "08004", otelpool.ClassTooManyConnections},
		{1203, "42000", otelpool.ClassTooManyConnections},
		{1226, "42000", otelpool.ClassTooManyConnections},
		{1129, "HY000", otelpool.ClassHostBlocked},
		{1047, "08S01", otelpool.ClassServerStarting},
		{4031, "HY000", otelpool.ClassServerIdleTimeout},
		{1053, "08S01", otelpool.ClassServerShutdown},
		{1317, "70100", otelpool.ClassKilled},
		{1927, "70100", otelpool.ClassKilled},
		{3169, "HY000", otelpool.ClassKilled},
		{1184, "08S01", otelpool.ClassNetwork},
		{1158, "08S01", otelpool.ClassNetwork},
		{1156, "08S01", otelpool.ClassProtocol},
		{1835, "HY000", otelpool.ClassProtocol},
		{1153, "08S01", otelpool.ClassStatement},
		{1290, "HY000", otelpool.ClassReadOnly},
		{1792, "25006", otelpool.ClassReadOnly},
		{1836, "HY000", otelpool.ClassReadOnly},
		{1213, "40001", otelpool.ClassDeadlock},
		{1205, "HY000", otelpool.ClassLockWait},
		{3572, "HY000", otelpool.ClassLockWait},
		{1020, "HY000", otelpool.ClassSerialization},
		{3101, "40000", otelpool.ClassSerialization},
		{9999, "40001", otelpool.ClassSerialization},
		{1969, "70100", otelpool.ClassStatementTimeout},
		{3024, "HY000", otelpool.ClassStatementTimeout},
		{1062, "23000", otelpool.ClassConstraint},
		{1451, "23000", otelpool.ClassConstraint},
		{1452, "23000", otelpool.ClassConstraint},
		{1048, "23000", otelpool.ClassConstraint},
		{1406, "22001", otelpool.ClassConstraint},
		{1364, "HY000", otelpool.ClassConstraint},
		{3819, "HY000", otelpool.ClassConstraint},
		{4025, "23000", otelpool.ClassConstraint},
		{1064, "42000", otelpool.ClassStatement},
		{1146, "42S02", otelpool.ClassStatement},
		{1054, "42S22", otelpool.ClassStatement},
		{1142, "42000", otelpool.ClassStatement},
		{1046, "3D000", otelpool.ClassStatement},
		{1461, "42000", otelpool.ClassStatement},
		{1105, "HY000", ""},
		{1105, "", ""},
		{0, "", ""},
	} {
		err := &mysql.MySQLError{Number: tc.number, Message: "1049 (28000): 'secret'"}
		copy(err.SQLState[:], tc.state)
		want := otelpool.Failure{Code: fmt.Sprint(tc.number), Class: tc.want}
		for _, err := range []error{err, fmt.Errorf("wrapped: %w", err), errors.Join(errOther, err)} {
			if got := classify(err); got != want {
				t.Errorf("%d (%s) as %T: %+v, want %+v", tc.number, tc.state, err, got, want)
			}
		}
	}
}

func TestClassify_ReturnsTheClassOfDriverErrors(t *testing.T) {
	for err, want := range map[error]otelpool.Class{
		mysql.ErrInvalidConn:       otelpool.ClassBadConnection,
		mysql.ErrMalformPkt:        otelpool.ClassProtocol,
		mysql.ErrNoTLS:             otelpool.ClassTLS,
		mysql.ErrCleartextPassword: otelpool.ClassAuth,
		mysql.ErrNativePassword:    otelpool.ClassAuth,
		mysql.ErrOldPassword:       otelpool.ClassAuth,
		mysql.ErrUnknownPlugin:     otelpool.ClassAuth,
		mysql.ErrOldProtocol:       otelpool.ClassProtocol,
		mysql.ErrPktSync:           otelpool.ClassProtocol,
		mysql.ErrPktSyncMul:        otelpool.ClassProtocol,
		mysql.ErrPktTooLarge:       otelpool.ClassStatement,
		mysql.ErrBusyBuffer:        otelpool.ClassBusyConnection,

		// Logged by the driver for an idle connection with unexpected data.
		errors.New("unexpected read from socket"): otelpool.ClassBadConnection,

		fmt.Errorf("wrapped: %w", mysql.ErrBusyBuffer): otelpool.ClassBusyConnection,

		// The root package classifies these.
		driver.ErrBadConn:                      "",
		io.EOF:                                 "",
		context.DeadlineExceeded:               "",
		&net.OpError{Op: "read", Err: io.EOF}:  "",
		&net.DNSError{Name: "nothing.invalid"}: "",
		errors.New("invalid connection"):       "",
		errors.New("Error 1040: too many"):     "",
		(*mysql.MySQLError)(nil):               "",
		fmt.Errorf("dial: %w", net.ErrClosed):  "",
		errors.New("unexpected read from x"):   "",
	} {
		if got := classify(err); got != (otelpool.Failure{Class: want}) {
			t.Errorf("%v: %+v, want class %q", err, got, want)
		}
	}
	if got := classify(nil); got != (otelpool.Failure{}) {
		t.Errorf("nil: %+v", got)
	}
}
