package otelmysql

import (
	"cmp"
	"errors"
	"reflect"
	"strconv"

	"github.com/go-sql-driver/mysql"

	"github.com/otelpool/otelpool"
)

// classify classifies errors of the driver and of the server. Others, such as those of a
// socket, are left to otelpool.
func classify(err error) otelpool.Failure {
	var server *mysql.MySQLError
	if errors.As(err, &server) {
		if server == nil {
			return otelpool.Failure{}
		}
		return otelpool.Failure{
			Code: strconv.Itoa(int(server.Number)),
			Class: cmp.Or(
				numberClasses[server.Number],
				stateClasses[string(server.SQLState[:2])],
			),
		}
	}
	for _, s := range sentinelClasses {
		if errors.Is(err, s.err) {
			return otelpool.Failure{Class: s.class}
		}
	}
	if reflect.TypeOf(err) == reflect.TypeOf(mysql.ErrInvalidConn) && err.Error() == unexpectedRead {
		return otelpool.Failure{Class: otelpool.ClassBadConnection}
	}
	return otelpool.Failure{}
}

// unexpectedRead is the text of the error that the driver logs when it closes an idle
// connection that has unexpected data to read. The driver does not export that error, so
// it is recognised by its text, and only if it has the type of errors.New.
const unexpectedRead = "unexpected read from socket"

// numberClasses has the classes of error numbers whose SQLSTATE does not give the class.
// MariaDB and MySQL share the numbers below 1900. The comments name the server of each
// other number.
var numberClasses = map[uint16]otelpool.Class{
	1045: otelpool.ClassAuth,            // access denied
	1044: otelpool.ClassAuth,            // to the database
	1130: otelpool.ClassAuth,            // from this host
	1251: otelpool.ClassAuth,            // unsupported authentication method
	1275: otelpool.ClassAuth,            // password in the old format
	1524: otelpool.ClassAuth,            // authentication plugin not loaded
	1698: otelpool.ClassAuth,            // without a password
	1820: otelpool.ClassAuth,            // the password must be changed first
	1862: otelpool.ClassAuth,            // the same
	3118: otelpool.ClassAuth,            // MySQL: the account is locked
	3955: otelpool.ClassAuth,            // MySQL: for too many wrong passwords
	4151: otelpool.ClassAuth,            // MariaDB: the account is locked
	3159: otelpool.ClassTLS,             // MySQL: only with TLS
	1049: otelpool.ClassUnknownDatabase, //

	1040: otelpool.ClassTooManyConnections, // of the server
	1203: otelpool.ClassTooManyConnections, // of the user
	1226: otelpool.ClassTooManyConnections, // of the user's resources
	1129: otelpool.ClassHostBlocked,        // after too many failed connects
	1047: otelpool.ClassServerStarting,     // unknown command: a Galera node's reply to everything until it is ready

	4031: otelpool.ClassServerIdleTimeout, // MySQL: wait_timeout, sent before the close
	1053: otelpool.ClassServerShutdown,    //
	1077: otelpool.ClassServerShutdown,    //
	1079: otelpool.ClassServerShutdown,    //
	3032: otelpool.ClassServerShutdown,    // MySQL: offline mode
	1317: otelpool.ClassKilled,            // KILL QUERY
	1927: otelpool.ClassKilled,            // MariaDB: KILL
	3169: otelpool.ClassKilled,            // MySQL: KILL
	1152: otelpool.ClassNetwork,           // aborted
	1184: otelpool.ClassNetwork,           // aborted
	1159: otelpool.ClassNetwork,           // the server's read timed out
	1161: otelpool.ClassNetwork,           // the server's write timed out
	1043: otelpool.ClassProtocol,          // bad handshake
	1156: otelpool.ClassProtocol,          // packets out of order
	1157: otelpool.ClassProtocol,          // packet cannot be uncompressed
	1835: otelpool.ClassProtocol,          // malformed packet
	1153: otelpool.ClassStatement,         // packet larger than max_allowed_packet

	1290: otelpool.ClassReadOnly, // --read-only, or another option that forbids the statement
	1792: otelpool.ClassReadOnly, // the transaction is read-only
	1836: otelpool.ClassReadOnly, // the server is read-only
	1874: otelpool.ClassReadOnly, // InnoDB is read-only
	3100: otelpool.ClassReadOnly, // MySQL: the group is read-only, or refuses the transaction

	1213: otelpool.ClassDeadlock,
	1614: otelpool.ClassDeadlock, // XA transaction
	3058: otelpool.ClassDeadlock, // MySQL: locks by GET_LOCK
	1205: otelpool.ClassLockWait,
	1613: otelpool.ClassLockWait,         // XA transaction
	3572: otelpool.ClassLockWait,         // MySQL: NOWAIT
	1020: otelpool.ClassSerialization,    // the row has changed since it was read
	3101: otelpool.ClassSerialization,    // MySQL: the group rolled it back
	1028: otelpool.ClassStatementTimeout, // sort aborted
	1969: otelpool.ClassStatementTimeout, // MariaDB: max_statement_time
	3024: otelpool.ClassStatementTimeout, // MySQL: max_execution_time

	1364: otelpool.ClassConstraint, // no value and no default
	1366: otelpool.ClassConstraint, // incorrect value for the column
	1265: otelpool.ClassConstraint, // value would be truncated
	1526: otelpool.ClassConstraint, // no partition for the value
	1557: otelpool.ClassConstraint, // a foreign key would cause a duplicate key
	3819: otelpool.ClassConstraint, // MySQL: CHECK
	4025: otelpool.ClassConstraint, // MariaDB: CHECK

	1046: otelpool.ClassStatement, // no database selected
	1243: otelpool.ClassStatement, // no such prepared statement
	1461: otelpool.ClassStatement, // too many prepared statements
	1193: otelpool.ClassStatement, // no such variable
	1295: otelpool.ClassStatement, // cannot be prepared
	1615: otelpool.ClassStatement, // must be prepared again
}

// stateClasses has the classes by the first two characters of the SQLSTATE.
var stateClasses = map[string]otelpool.Class{
	"08": otelpool.ClassNetwork,
	"0A": otelpool.ClassStatement,
	"21": otelpool.ClassStatement,
	"22": otelpool.ClassConstraint,
	"23": otelpool.ClassConstraint,
	"24": otelpool.ClassStatement,
	"25": otelpool.ClassStatement,
	"28": otelpool.ClassAuth,
	"3D": otelpool.ClassStatement,
	"40": otelpool.ClassSerialization,
	"42": otelpool.ClassStatement,
	"44": otelpool.ClassConstraint,
}

// sentinelClasses has the classes of the errors that the driver exports.
var sentinelClasses = []struct {
	err   error
	class otelpool.Class
}{
	{mysql.ErrNoTLS, otelpool.ClassTLS},
	{mysql.ErrCleartextPassword, otelpool.ClassAuth},
	{mysql.ErrNativePassword, otelpool.ClassAuth},
	{mysql.ErrOldPassword, otelpool.ClassAuth},
	{mysql.ErrUnknownPlugin, otelpool.ClassAuth},
	{mysql.ErrOldProtocol, otelpool.ClassProtocol},
	{mysql.ErrMalformPkt, otelpool.ClassProtocol},
	{mysql.ErrPktSync, otelpool.ClassProtocol},
	{mysql.ErrPktSyncMul, otelpool.ClassProtocol},
	{mysql.ErrPktTooLarge, otelpool.ClassStatement},
	{mysql.ErrBusyBuffer, otelpool.ClassBusyConnection},
	{mysql.ErrInvalidConn, otelpool.ClassBadConnection},
}
