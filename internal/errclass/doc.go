// Package errclass turns an error into what is recorded of it: error.type, the code of
// the server, and the class.
//
//	error + what the adapter knows of it + the caller's context -> Fault
//
// Its functions keep no state. They look at types, codes and SQLSTATEs, never at the text of
// an error, and call no method of it but ErrorType, SQLState, Timeout, Unwrap, Is and As.
package errclass
