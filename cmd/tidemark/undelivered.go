package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/delivery"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/subject"
)

// lookupTimeout bounds the lookup of a stream for a warning. The NATS user may lack its permission.
const lookupTimeout = time.Second

// undelivered returns a warning for an event that a stream of the configured feeds has stored and
// that none of them delivers. It is empty for other streams, and where that is not known.
func undelivered(ctx context.Context, cfg config.Config, nc *nats.Conn, subj, stream string) string {
	templates, read := deliveredOf(cfg, stream)
	if !read || slices.ContainsFunc(templates, func(t subject.Template) bool { return t.Match(subj) }) {
		return ""
	}
	js, err := jetstore.NewJetStream(nc, cfg.NATS.Domain, cfg.NATS.APIPrefix)
	if err != nil {
		return ""
	}
	rules := delivery.New(delivery.Options{
		Templates:   map[string][]subject.Template{stream: templates},
		AllSubjects: slices.Contains(cfg.Auth.Identity, "jwt") && cfg.Auth.JWT.WidenClaim != "",
		Lookup: func(ctx context.Context, name string) (jetstream.StreamConfig, error) {
			ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
			defer cancel()
			s, err := js.Stream(ctx, name)
			if err != nil {
				return jetstream.StreamConfig{}, err
			}
			return s.CachedInfo().Config, nil
		},
	})
	rules.Refresh(ctx)
	refused, ok := errors.AsType[*delivery.Error](rules.Check(ctx, subj))
	if !ok {
		return ""
	}
	meant := ""
	if refused.Suggestion != "" {
		meant = fmt.Sprintf("; a value with dots is one token: publish to %q, or name the user with --user", refused.Suggestion)
	}
	return fmt.Sprintf("the event is stored, and no feed of the configuration delivers %q to clients%s; feeds have %s", subj, meant, strings.Join(refused.Allowed, ", "))
}

// deliveredOf returns what the feeds of a stream deliver, and whether there are any.
func deliveredOf(cfg config.Config, stream string) (all []subject.Template, read bool) {
	for name, f := range cfg.Feeds {
		if f.Stream != stream {
			continue
		}
		parsed, err := templates(name, "subjects", slices.Concat(f.Subjects, f.Allow))
		if err != nil {
			return nil, false
		}
		all, read = append(all, parsed...), true
	}
	slices.SortFunc(all, func(a, b subject.Template) int { return strings.Compare(a.String(), b.String()) }) // feeds have no order
	return all, read
}
