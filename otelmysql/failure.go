package otelmysql

import (
	"cmp"
	"errors"
	"reflect"
	"strconv"

	"github.com/go-sql-driver/mysql"
	"github.com/otelpool/otelpool/poolinfo"
)

// classify classifies errors of the driver and of the server. Others, such as those of a
// socket, are left to otelpool.
func classify(err error) poolinfo.ErrorInfo {
	var server *mysql.MySQLError
	if errors.As(err, &server) {
		if server == nil {
			return poolinfo.ErrorInfo{}
		}
		return poolinfo.ErrorInfo{
			Code: strconv.Itoa(int(server.Number)),
			Class: cmp.Or(
				numberClasses[server.Number],
				stateClasses[string(server.SQLState[:2])],
			),
			ServerStopped: stopped[server.Number],
		}
	}
	for _, s := range sentinelClasses {
		if errors.Is(err, s.err) {
			return poolinfo.ErrorInfo{Class: s.class}
		}
	}
	if reflect.TypeOf(err) == reflect.TypeOf(mysql.ErrInvalidConn) && err.Error() == unexpectedRead {
		return poolinfo.ErrorInfo{Class: poolinfo.ClassBadConnection}
	}
	return poolinfo.ErrorInfo{}
}

// stopped are the numbers of a statement that the server stopped.
var stopped = map[uint16]bool{
	1317: true, // killed, as the program may do when a context ends
	3024: true, // MySQL: max_execution_time
	1969: true, // MariaDB: max_statement_time
}

// unexpectedRead is the text of the error that the driver logs when it closes an idle
// connection that has unexpected data to read. The driver does not export that error, so
// it is recognised by its text, and only if it has the type of errors.New.
const unexpectedRead = "unexpected read from socket"

// numberClasses has the classes of error numbers whose SQLSTATE does not give the class.
// MariaDB and MySQL share the numbers below 1900. The comments name the server of each
// other number.
var numberClasses = map[uint16]poolinfo.Class{
	1045: poolinfo.ClassAuth,            // access denied
	1044: poolinfo.ClassAuth,            // to the database
	1130: poolinfo.ClassAuth,            // from this host
	1251: poolinfo.ClassAuth,            // unsupported authentication method
	1275: poolinfo.ClassAuth,            // password in the old format
	1524: poolinfo.ClassAuth,            // authentication plugin not loaded
	1698: poolinfo.ClassAuth,            // without a password
	1820: poolinfo.ClassAuth,            // the password must be changed first
	1862: poolinfo.ClassAuth,            // the same
	3118: poolinfo.ClassAuth,            // MySQL: the account is locked
	3955: poolinfo.ClassAuth,            // MySQL: for too many wrong passwords
	4151: poolinfo.ClassAuth,            // MariaDB: the account is locked
	3159: poolinfo.ClassTLS,             // MySQL: only with TLS
	1049: poolinfo.ClassUnknownDatabase, //

	1040: poolinfo.ClassTooManyConnections, // of the server
	1203: poolinfo.ClassTooManyConnections, // of the user
	1226: poolinfo.ClassTooManyConnections, // of the user's resources
	1129: poolinfo.ClassHostBlocked,        // after too many failed connects
	1047: poolinfo.ClassServerStarting,     // unknown command: a Galera node's reply to everything until it is ready

	4031: poolinfo.ClassServerIdleTimeout, // MySQL: wait_timeout, sent before the close
	1053: poolinfo.ClassServerShutdown,    //
	1077: poolinfo.ClassServerShutdown,    //
	1079: poolinfo.ClassServerShutdown,    //
	3032: poolinfo.ClassServerShutdown,    // MySQL: offline mode
	1317: poolinfo.ClassKilled,            // KILL QUERY
	1927: poolinfo.ClassKilled,            // MariaDB: KILL
	3169: poolinfo.ClassKilled,            // MySQL: KILL
	1152: poolinfo.ClassNetwork,           // aborted
	1184: poolinfo.ClassNetwork,           // aborted
	1159: poolinfo.ClassNetwork,           // the server's read timed out
	1161: poolinfo.ClassNetwork,           // the server's write timed out
	1043: poolinfo.ClassProtocol,          // bad handshake
	1156: poolinfo.ClassProtocol,          // packets out of order
	1157: poolinfo.ClassProtocol,          // packet cannot be uncompressed
	1835: poolinfo.ClassProtocol,          // malformed packet
	1153: poolinfo.ClassStatement,         // packet larger than max_allowed_packet

	1290: poolinfo.ClassReadOnly, // --read-only, or another option that forbids the statement
	1792: poolinfo.ClassReadOnly, // the transaction is read-only
	1836: poolinfo.ClassReadOnly, // the server is read-only
	1874: poolinfo.ClassReadOnly, // InnoDB is read-only
	3100: poolinfo.ClassReadOnly, // MySQL: the group is read-only, or refuses the transaction

	1213: poolinfo.ClassDeadlock,
	1614: poolinfo.ClassDeadlock, // XA transaction
	3058: poolinfo.ClassDeadlock, // MySQL: locks by GET_LOCK
	1205: poolinfo.ClassLockWait,
	1613: poolinfo.ClassLockWait,         // XA transaction
	3572: poolinfo.ClassLockWait,         // MySQL: NOWAIT
	1020: poolinfo.ClassSerialization,    // the row has changed since it was read
	3101: poolinfo.ClassSerialization,    // MySQL: the group rolled it back
	1028: poolinfo.ClassStatementTimeout, // sort aborted
	1969: poolinfo.ClassStatementTimeout, // MariaDB: max_statement_time
	3024: poolinfo.ClassStatementTimeout, // MySQL: max_execution_time

	1364: poolinfo.ClassConstraint, // no value and no default
	1366: poolinfo.ClassConstraint, // incorrect value for the column
	1265: poolinfo.ClassConstraint, // value would be truncated
	1526: poolinfo.ClassConstraint, // no partition for the value
	1557: poolinfo.ClassConstraint, // a foreign key would cause a duplicate key
	3819: poolinfo.ClassConstraint, // MySQL: CHECK
	4025: poolinfo.ClassConstraint, // MariaDB: CHECK

	1046: poolinfo.ClassStatement, // no database selected
	1243: poolinfo.ClassStatement, // no such prepared statement
	1461: poolinfo.ClassStatement, // too many prepared statements
	1193: poolinfo.ClassStatement, // no such variable
	1295: poolinfo.ClassStatement, // cannot be prepared
	1615: poolinfo.ClassStatement, // must be prepared again
}

// stateClasses has the classes by the first two characters of the SQLSTATE.
var stateClasses = map[string]poolinfo.Class{
	"08": poolinfo.ClassNetwork,
	"0A": poolinfo.ClassStatement,
	"21": poolinfo.ClassStatement,
	"22": poolinfo.ClassConstraint,
	"23": poolinfo.ClassConstraint,
	"24": poolinfo.ClassStatement,
	"25": poolinfo.ClassStatement,
	"28": poolinfo.ClassAuth,
	"3D": poolinfo.ClassStatement,
	"40": poolinfo.ClassSerialization,
	"42": poolinfo.ClassStatement,
	"44": poolinfo.ClassConstraint,
}

// sentinelClasses has the classes of the errors that the driver exports.
var sentinelClasses = []struct {
	err   error
	class poolinfo.Class
}{
	{mysql.ErrNoTLS, poolinfo.ClassTLS},
	{mysql.ErrCleartextPassword, poolinfo.ClassAuth},
	{mysql.ErrNativePassword, poolinfo.ClassAuth},
	{mysql.ErrOldPassword, poolinfo.ClassAuth},
	{mysql.ErrUnknownPlugin, poolinfo.ClassAuth},
	{mysql.ErrOldProtocol, poolinfo.ClassProtocol},
	{mysql.ErrMalformPkt, poolinfo.ClassProtocol},
	{mysql.ErrPktSync, poolinfo.ClassProtocol},
	{mysql.ErrPktSyncMul, poolinfo.ClassProtocol},
	{mysql.ErrPktTooLarge, poolinfo.ClassStatement},
	{mysql.ErrBusyBuffer, poolinfo.ClassBusyConnection},
	{mysql.ErrInvalidConn, poolinfo.ClassBadConnection},
}
