package health

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feedhttp"
)

func TestReadyz_Checks_DecideTheStatus(t *testing.T) {
	failed, partly := errors.New("no connection"), fmt.Errorf("store: %w", Degraded(errors.New("disk full")))
	for name, c := range map[string]struct {
		results []error
		status  string
		code    int
	}{
		"all succeed":            {[]error{nil, Degraded(nil)}, "ok", http.StatusOK},
		"one degrades":           {[]error{partly, nil}, "degraded", http.StatusOK},
		"one fails":              {[]error{failed, nil}, "unavailable", http.StatusServiceUnavailable},
		"degraded before failed": {[]error{partly, failed}, "unavailable", http.StatusServiceUnavailable},
		"failed before degraded": {[]error{failed, partly}, "unavailable", http.StatusServiceUnavailable},
	} {
		opts := Options{Admission: feedhttp.NewAdmission(feedhttp.Limits{}), Budget: feed.NewReplayBudget(0), NATSServer: func() string { return "" }}
		for i, err := range c.results {
			opts.Checks = append(opts.Checks, Check{fmt.Sprint(i), func() error { return err }})
		}
		r := New(opts)
		report := r.Report(t.Context())
		if report.Status != c.status {
			t.Errorf("%s: status %q, want %q", name, report.Status, c.status)
		}
		for i, err := range c.results {
			want := "ok"
			if err != nil {
				want = err.Error()
			}
			if got := report.Checks[fmt.Sprint(i)]; got != want {
				t.Errorf("%s: check %d is %q, want %q", name, i, got, want)
			}
		}
		w := httptest.NewRecorder()
		r.Readyz(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		if w.Code != c.code || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: answered %d with %v, want %d", name, w.Code, w.Header(), c.code)
		}
	}
}
