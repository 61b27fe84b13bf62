package feedhttp

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/subject"
	"github.com/tidemark/tidemark/pkg/auth"
)

// PublishOptions configure Publish and SendMessage. Publisher is needed.
type PublishOptions struct {
	Publisher feed.Publisher
	// Identify identifies publishers, and so the subjects that they may publish to; nil permits every
	// request.
	Identify auth.Source
	// Accept returns why a subject may not be published, such as that it would reach no client. The
	// publisher receives the text with 422. Nil accepts every subject that some stream captures.
	Accept func(ctx context.Context, subject string) error
	// DuplicateWindow returns the duplicate window of a stream for the text of an error; 0 if it is unknown. Nil leaves
	// it out of the text.
	DuplicateWindow func(ctx context.Context, stream string) time.Duration
	// Templates are the subjects of the feeds. "user" stands for the one that has {user} as its
	// only variable; see subject.UserTemplate.
	Templates []subject.Template
	// QueryParams are further parameters of the query, which Identify reads. Others are refused with 400.
	QueryParams []string
	// MaxBytes bounds a request's body, and each event of an event stream; 1 MiB when zero.
	MaxBytes int64
	// MaxBatch bounds the events of one request; 1000 when zero.
	MaxBatch int
	// Timeout bounds the wait for acknowledgements; 5 s when zero.
	Timeout time.Duration
	// BodyTimeout bounds the time until a request's body has arrived; 30 s when zero.
	BodyTimeout time.Duration
	// IdleTimeout bounds the wait for the next event or comment of an event stream; 2 minutes when zero.
	IdleTimeout time.Duration
	// RetryTimeout bounds the attempts to store an event of an event stream, while the store is not available; 15 s
	// when zero.
	RetryTimeout time.Duration
	// Admission bounds the rate of events; nil is unlimited.
	Admission *Admission
	// Refused, if set, receives each request that is refused for its identity or for a limit. It must
	// not block.
	Refused func(RefusedRequest)
	Logger  *slog.Logger // nil discards
}

func (o PublishOptions) withDefaults() PublishOptions {
	o.MaxBytes = cmp.Or(o.MaxBytes, 1<<20)
	o.MaxBatch = cmp.Or(o.MaxBatch, 1000)
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	o.BodyTimeout = cmp.Or(o.BodyTimeout, 30*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 2*time.Minute)
	o.RetryTimeout = cmp.Or(o.RetryTimeout, 15*time.Second)
	if o.Admission == nil {
		o.Admission = NewAdmission(Limits{})
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
