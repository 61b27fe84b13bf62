package httpguard

import (
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tidemark/tidemark/internal/problem"
)

// logEvery bounds the lines about pages of other origins.
const logEvery = time.Minute

// Origins are the origins of pages besides those of a listener itself. Make it with NewOrigins;
// its methods are safe for concurrent use.
type Origins struct {
	allowed []string
	logger  *slog.Logger
	publish *http.CrossOriginProtection

	last    atomic.Int64 // time of the last line, in nanoseconds; zero for none
	omitted atomic.Int64
}

// NewOrigins returns the origins of http.cors.origins. With * every page may read, and no further page may publish.
func NewOrigins(allowed []string, logger *slog.Logger) (*Origins, error) {
	o := &Origins{allowed: allowed, logger: logger, publish: http.NewCrossOriginProtection()}
	for _, origin := range allowed {
		if origin == "*" {
			continue
		}
		if err := o.publish.AddTrustedOrigin(origin); err != nil {
			return nil, err
		}
	}
	o.publish.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problem.Write(w, problem.Document{Code: problem.CrossOrigin,
			Detail: "pages of another origin may not publish here; name the origin in http.cors.origins to allow it"})
	}))
	return o, nil
}

// ProtectPublish answers 403 to requests of pages of other origins, but for GET, HEAD and OPTIONS.
func (o *Origins) ProtectPublish(next http.Handler) http.Handler { return o.publish.Handler(next) }

// LogForeign logs requests of pages of other origins, once a minute. A browser hides the
// answer from such a page, and reports neither to the page nor to the node what is missing.
func (o *Origins) LogForeign(r *http.Request) {
	if !o.isForeign(r) {
		return
	}
	now, last := time.Now().UnixNano(), o.last.Load()
	if last != 0 && now-last < int64(logEvery) || !o.last.CompareAndSwap(last, now) {
		o.omitted.Add(1)
		return
	}
	origin := r.Header.Get("Origin")
	o.logger.Warn("cors: origin not allowed; the browser hides the answer from the page",
		"origin", origin[:min(len(origin), 200)], "path", r.URL.Path, "remote", r.RemoteAddr,
		"omitted", o.omitted.Swap(0), "remedy", "to allow it, add the origin to http.cors.origins")
}

// isForeign reports whether a request comes from a page of an origin that is neither allowed nor that
// of this node. A proxy may change Host; browsers report the truth in Sec-Fetch-Site.
func (o *Origins) isForeign(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || r.Header.Get("Sec-Fetch-Site") == "same-origin" {
		return false
	}
	if slices.Contains(o.allowed, origin) || slices.Contains(o.allowed, "*") && r.Method != http.MethodPost {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(u.Host, r.Host)
}

// IsCrossOrigin reports whether a page of another origin makes a browser send the request. The
// browser does not let the page read the answer, but <img src="…/debug/pprof/profile"> would make
// the node work. http.CrossOriginProtection has the same rules and passes every GET.
//
// Browsers send Sec-Fetch-Site to loopback and over TLS; where it is missing Origin decides, and
// then Referer. A request without all three is not from a page.
func IsCrossOrigin(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "":
	case "same-origin", "none":
		return false
	default:
		return true
	}
	for _, name := range []string{"Origin", "Referer"} {
		if from := r.Header.Get(name); from != "" {
			page, err := url.Parse(from)
			return err != nil || page.Host != r.Host
		}
	}
	return false
}
