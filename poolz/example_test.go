package poolz_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
	"github.com/otelpool/otelpool/poolz"
)

func ExampleHandler() {
	db := otelpool.OpenDB(fakedb.New(fakedb.Config{}).Connector(), otelpool.WithPoolName("orders"))
	defer db.Close()

	mux := http.NewServeMux() // of a listener that is not public
	mux.Handle("/debug/poolz/", poolz.Handler(poolz.WithTraceURL("https://jaeger.example/trace/{trace_id}")))

	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/debug/poolz/?pool=orders&format=text", nil))
	first, _, _ := strings.Cut(answer.Body.String(), "\n")
	fmt.Println(first)
	// Output: orders: OK (other_sql)
}
