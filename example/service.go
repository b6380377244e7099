package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/poolz"
)

// digestTakes is the duration of the digest's statement.
const digestTakes = 60 * time.Millisecond

// service is the notification service: HTTP in, SQL out.
type service struct {
	store   *store
	feed    *feed
	tracer  trace.Tracer
	timeout time.Duration // for each request except streams
	reading time.Duration // pause between two notifications sent from an open result set
	// onAcquireError is called for each request that got no connection, on its goroutine.
	onAcquireError func(*otelpool.AcquireError)
}

// handler serves the API, the metrics at /metrics, and the pool page at /debug/poolz/. A
// real service serves the last two on a separate listener.
func (s *service) handler(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, f func(http.ResponseWriter, *http.Request) error) {
		mux.Handle(pattern, s.traced(pattern, f))
	}
	handle("POST /notifications", s.post)
	handle("POST /notifications/{id}/read", s.markRead)
	handle("GET /users/{id}/notifications", s.list)
	handle("GET /users/{id}/digest", s.digest)
	handle("GET /users/{id}/stream", s.stream)
	mux.Handle("GET /metrics", metrics)
	mux.Handle("GET /debug/poolz/", poolz.Handler())
	return mux
}

// failure is an error with the HTTP status to send.
type failure struct {
	status int
	error
}

func (f failure) Unwrap() error { return f.error }

// traced wraps f in a server span, the parent of the database's spans, and sends its errors
// to the client.
func (s *service) traced(pattern string, f func(http.ResponseWriter, *http.Request) error) http.Handler {
	method, route, _ := strings.Cut(pattern, " ")
	start := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(semconv.HTTPRequestMethodKey.String(method), semconv.HTTPRoute(route)),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, span := s.tracer.Start(r.Context(), pattern, start...)
		defer span.End()
		sent := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		if err := f(sent, r.WithContext(ctx)); err != nil {
			var acquireErr *otelpool.AcquireError
			if errors.As(err, &acquireErr) {
				s.onAcquireError(acquireErr)
				// The client must not learn who holds the connections.
				err = acquireErr.Unwrap()
			}
			http.Error(sent, err.Error(), statusOf(err))
		}
		span.SetAttributes(semconv.HTTPResponseStatusCode(sent.status))
		if sent.status >= 500 {
			span.SetStatus(codes.Error, "")
		}
	})
}

// statusWriter records the status for the span.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the Flusher.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// statusOf is 503 for a request that timed out. If the pool is exhausted, it timed out
// waiting for a connection.
func statusOf(err error) int {
	var f failure
	switch {
	case errors.As(err, &f):
		return f.status
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func (s *service) post(w http.ResponseWriter, r *http.Request) error {
	var n notification
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<12)).Decode(&n); err != nil {
		return failure{http.StatusBadRequest, err}
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.timeout)
	defer cancel()
	n, err := s.store.add(ctx, n.User, n.Text)
	if err != nil {
		return err
	}
	s.feed.publish(n)
	return answer(w, http.StatusCreated, n)
}

func (s *service) markRead(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.timeout)
	defer cancel()
	found, err := s.store.read(ctx, id)
	if err != nil {
		return err
	}
	if !found {
		return failure{http.StatusNotFound, errors.New("no such notification")}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *service) list(w http.ResponseWriter, r *http.Request) error {
	user, err := pathID(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.timeout)
	defer cancel()
	found, err := s.store.list(ctx, s.store.db, user, 0)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, found)
}

func (s *service) digest(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), s.timeout)
	defer cancel()
	if err := s.store.digest(ctx, digestTakes); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func pathID(r *http.Request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return 0, failure{http.StatusBadRequest, err}
	}
	return id, nil
}

// answer writes v as JSON.
func answer(w http.ResponseWriter, status int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// An error means that the client has disconnected.
	_, _ = w.Write(append(data, '\n'))
	return nil
}
