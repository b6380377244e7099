package faults_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"

	"github.com/go-sql-driver/mysql"
)

// sentinels are the errors that programs compare with.
var sentinels = []struct {
	name string
	err  error
}{
	{"driver.ErrBadConn", driver.ErrBadConn},
	{"sql.ErrConnDone", sql.ErrConnDone},
	{"sql.ErrTxDone", sql.ErrTxDone},
	{"sql.ErrNoRows", sql.ErrNoRows},
	{"mysql.ErrInvalidConn", mysql.ErrInvalidConn},
	{"mysql.ErrNoTLS", mysql.ErrNoTLS},
	{"mysql.ErrBusyBuffer", mysql.ErrBusyBuffer},
	{"context.Canceled", context.Canceled},
	{"context.DeadlineExceeded", context.DeadlineExceeded},
	{"os.ErrDeadlineExceeded", os.ErrDeadlineExceeded},
	{"io.EOF", io.EOF},
	{"io.ErrUnexpectedEOF", io.ErrUnexpectedEOF},
	{"net.ErrClosed", net.ErrClosed},
	{"ECONNREFUSED", syscall.ECONNREFUSED},
	{"ECONNRESET", syscall.ECONNRESET},
	{"EPIPE", syscall.EPIPE},
}

// brief describes an error in a word or two: its sentinel if it is one, otherwise its type
// with the server's code or the first sentinel in its chain.
func brief(err error) string {
	if err == nil {
		return "ok"
	}
	typ := fmt.Sprintf("%T", err)
	if code := codeOf(err); code != "" {
		return typ + " " + code
	}
	for _, s := range sentinels {
		if err == s.err { //nolint:errorlint // programs compare by identity first
			return s.name
		}
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return typ + " " + s.name
		}
	}
	return typ
}

// codeOf returns the server's code of an error.
func codeOf(err error) string {
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return fmt.Sprint(e.Number)
	}
	if e, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok {
		return e.SQLState()
	}
	return ""
}

// whole describes everything that a program can see of an error: its text, the types in
// its chain, the sentinels that it is or contains, and its code.
func whole(err error, tag string) string {
	if err == nil {
		return "nil"
	}
	var is, has []string
	for _, s := range sentinels {
		if err == s.err { //nolint:errorlint // identity is what is compared
			is = append(is, s.name)
		}
		if errors.Is(err, s.err) {
			has = append(has, s.name)
		}
	}
	return fmt.Sprintf("%q %s code=%s is=%v has=%v", masked(err.Error(), tag), strings.Join(chain(err), ">"), codeOf(err), is, has)
}

// What differs between runs: ports, and the numbers that scripts use.
var (
	port   = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	udp    = regexp.MustCompile(`udp [0-9.]+:\d+->`)
	number = regexp.MustCompile(`/\* \d+ \*/`)
)

func masked(text, tag string) string {
	text = port.ReplaceAllString(text, "127.0.0.1:port")
	text = udp.ReplaceAllString(text, "udp client->")
	text = number.ReplaceAllString(text, "/* number */")
	return strings.ReplaceAll(text, tag, "tag")
}

// chain returns the types of an error and of the errors that it wraps, depth first.
func chain(err error) []string {
	types := []string{fmt.Sprintf("%T", err)}
	if op, ok := err.(*net.DNSError); ok { //nolint:errorlint // the chain itself is walked
		types[0] += fmt.Sprintf("(notFound=%t)", op.IsNotFound)
	}
	switch err := err.(type) { //nolint:errorlint // the chain itself is walked
	case interface{ Unwrap() error }:
		if inner := err.Unwrap(); inner != nil {
			types = append(types, chain(inner)...)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range err.Unwrap() {
			types = append(types, chain(inner)...)
		}
	}
	return types
}
