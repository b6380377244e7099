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
	"github.com/otelpool/otelpool/poolinfo"
)

func TestClassify_ReturnsNumberAndClassOfServerErrors(t *testing.T) {
	for _, tc := range []struct {
		number uint16
		state  string
		want   poolinfo.Class
	}{
		{1045, "28000", poolinfo.ClassAuth},
		{1044, "42000", poolinfo.ClassAuth},
		{1130, "HY000", poolinfo.ClassAuth},
		{1698, "28000", poolinfo.ClassAuth},
		{3118, "HY000", poolinfo.ClassAuth},
		{4151, "HY000", poolinfo.ClassAuth},
		{9999, "28000", poolinfo.ClassAuth},
		{3159, "HY000", poolinfo.ClassTLS},
		{1049, "42000", poolinfo.ClassUnknownDatabase},
		{1040, "08004", poolinfo.ClassTooManyConnections},
		{1203, "42000", poolinfo.ClassTooManyConnections},
		{1226, "42000", poolinfo.ClassTooManyConnections},
		{1129, "HY000", poolinfo.ClassHostBlocked},
		{1047, "08S01", poolinfo.ClassServerStarting},
		{4031, "HY000", poolinfo.ClassServerIdleTimeout},
		{1053, "08S01", poolinfo.ClassServerShutdown},
		{1317, "70100", poolinfo.ClassKilled},
		{1927, "70100", poolinfo.ClassKilled},
		{3169, "HY000", poolinfo.ClassKilled},
		{1184, "08S01", poolinfo.ClassNetwork},
		{1158, "08S01", poolinfo.ClassNetwork},
		{1156, "08S01", poolinfo.ClassProtocol},
		{1835, "HY000", poolinfo.ClassProtocol},
		{1153, "08S01", poolinfo.ClassStatement},
		{1290, "HY000", poolinfo.ClassReadOnly},
		{1792, "25006", poolinfo.ClassReadOnly},
		{1836, "HY000", poolinfo.ClassReadOnly},
		{1213, "40001", poolinfo.ClassDeadlock},
		{1205, "HY000", poolinfo.ClassLockWait},
		{3572, "HY000", poolinfo.ClassLockWait},
		{1020, "HY000", poolinfo.ClassSerialization},
		{3101, "40000", poolinfo.ClassSerialization},
		{9999, "40001", poolinfo.ClassSerialization},
		{1969, "70100", poolinfo.ClassStatementTimeout},
		{3024, "HY000", poolinfo.ClassStatementTimeout},
		{1062, "23000", poolinfo.ClassConstraint},
		{1451, "23000", poolinfo.ClassConstraint},
		{1452, "23000", poolinfo.ClassConstraint},
		{1048, "23000", poolinfo.ClassConstraint},
		{1406, "22001", poolinfo.ClassConstraint},
		{1364, "HY000", poolinfo.ClassConstraint},
		{3819, "HY000", poolinfo.ClassConstraint},
		{4025, "23000", poolinfo.ClassConstraint},
		{1064, "42000", poolinfo.ClassStatement},
		{1146, "42S02", poolinfo.ClassStatement},
		{1054, "42S22", poolinfo.ClassStatement},
		{1142, "42000", poolinfo.ClassStatement},
		{1046, "3D000", poolinfo.ClassStatement},
		{1461, "42000", poolinfo.ClassStatement},
		{1105, "HY000", ""},
		{1105, "", ""},
		{0, "", ""},
	} {
		err := &mysql.MySQLError{Number: tc.number, Message: "1049 (28000): 'secret'"}
		copy(err.SQLState[:], tc.state)
		stopped := tc.number == 1317 || tc.number == 3024 || tc.number == 1969
		want := poolinfo.ErrorInfo{Code: fmt.Sprint(tc.number), Class: tc.want, ServerStopped: stopped}
		for _, err := range []error{err, fmt.Errorf("wrapped: %w", err), errors.Join(errOther, err)} {
			if got := classify(err); got != want {
				t.Errorf("%d (%s) as %T: %+v, want %+v", tc.number, tc.state, err, got, want)
			}
		}
	}
}

func TestClassify_ReturnsTheClassOfDriverErrors(t *testing.T) {
	for err, want := range map[error]poolinfo.Class{
		mysql.ErrInvalidConn:       poolinfo.ClassBadConnection,
		mysql.ErrMalformPkt:        poolinfo.ClassProtocol,
		mysql.ErrNoTLS:             poolinfo.ClassTLS,
		mysql.ErrCleartextPassword: poolinfo.ClassAuth,
		mysql.ErrNativePassword:    poolinfo.ClassAuth,
		mysql.ErrOldPassword:       poolinfo.ClassAuth,
		mysql.ErrUnknownPlugin:     poolinfo.ClassAuth,
		mysql.ErrOldProtocol:       poolinfo.ClassProtocol,
		mysql.ErrPktSync:           poolinfo.ClassProtocol,
		mysql.ErrPktSyncMul:        poolinfo.ClassProtocol,
		mysql.ErrPktTooLarge:       poolinfo.ClassStatement,
		mysql.ErrBusyBuffer:        poolinfo.ClassBusyConnection,

		// Logged by the driver for an idle connection with unexpected data.
		errors.New("unexpected read from socket"): poolinfo.ClassBadConnection,

		fmt.Errorf("wrapped: %w", mysql.ErrBusyBuffer): poolinfo.ClassBusyConnection,

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
		if got := classify(err); got != (poolinfo.ErrorInfo{Class: want}) {
			t.Errorf("%v: %+v, want class %q", err, got, want)
		}
	}
	if got := classify(nil); got != (poolinfo.ErrorInfo{}) {
		t.Errorf("nil: %+v", got)
	}
}
