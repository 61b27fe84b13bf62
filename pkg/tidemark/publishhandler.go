package tidemark

import (
	"net/http"

	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/httpserver"
	"github.com/tidemark/tidemark/internal/problem"
	"github.com/tidemark/tidemark/pkg/auth"
)

// PublishOptions configure [Feed.PublishHandler].
type PublishOptions struct {
	// Identify returns the identity of a publisher. Its field Publish has the subjects that the publisher may
	// publish to, such as "news.user.*"; ">" is all of the feed. When nil the handler answers every request with 403.
	// Where middleware has authorised the request already, a function that returns
	// auth.Identity{Publish: []string{">"}} suffices.
	Identify auth.Source
	// QueryParams are the parameters of the query that Identify reads, such as auth.TokenParam. The handler rejects
	// parameters that it does not know with 400.
	QueryParams []string
	// MaxBytes bounds the body of a request, and each event of an event stream; 1 MiB when zero.
	MaxBytes int64
	// MaxBatch bounds the events of one request; 1000 when zero.
	MaxBatch int
}

// PublishHandler returns a handler of POST requests with events. It reads the requests of the command's /publish:
//
//   - At a path such as "POST /publish": a JSON object with subject or user, and event, data and id, or an array
//     of them. With ?user= the body is the data of one event for that user.
//   - At a path with the value {subject}, such as "POST /publish/{subject...}": the body is the data of one event.
//   - With Content-Type text/event-stream, at the latter path or with ?user=: each event of the body is stored as it
//     arrives. The http.Server's ReadTimeout does not end the body, but two minutes without an event do.
//
// The response comes after JetStream has acknowledged all events, within five seconds, and has the position of
// each. A request with an event that is not valid, or that the publisher may not publish, stores nothing. Errors
// are application/problem+json: 401 and 403 (identity), 400, 413 and 422 (body), 503 (JetStream), 507 (a full
// stream).
//
// Pages of other origins are rejected with 403, also those that send a user's cookies, except for those in
// Options.CORS. The handler bounds neither the rate nor the number of requests: use middleware. It works until
// [Feed.Close].
func (f *Feed) PublishHandler(opts PublishOptions) http.Handler {
	identify := noPublishers
	if opts.Identify != nil {
		identify = f.revoked.RejectRevoked(requiredPublisher(opts.Identify))
	}
	o := feedhttp.PublishOptions{
		Publisher: f.store.publisher, Identify: identify, Accept: f.store.accept, Templates: f.config.templates(), DuplicateWindow: f.store.duplicateWindow, QueryParams: opts.QueryParams,
		Admission: f.admission, MaxBytes: opts.MaxBytes, MaxBatch: opts.MaxBatch, Logger: f.config.Logger.With("component", "publish"),
	}
	events, body := feedhttp.NewPublish(o), feedhttp.NewPublishBody(o)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("subject") != "" {
			body.ServeHTTP(w, r)
			return
		}
		events.ServeHTTP(w, r)
	})
	return httpserver.CORS(f.config.CORS.protect(handler), f.config.CORS.Origins, f.config.CORS.Credentials)
}

// protect rejects posts of pages of origins that are not named. "*" lets all pages read, and none publish.
func (c CORS) protect(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	for _, origin := range c.Origins {
		if origin != "*" {
			_ = protection.AddTrustedOrigin(origin) // resolve has checked it
		}
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problem.WriteError(w, &auth.Error{Status: http.StatusForbidden, Detail: "pages of another origin may not publish here; name the origin in Options.CORS.Origins to allow it"})
	}))
	return protection.Handler(next)
}
