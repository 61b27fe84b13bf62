package jetstore

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

// CountSubjects implements feed.Store. It waits for its turn in Options.Scans, once for each filter
// with wildcards.
func (l *Store) CountSubjects(ctx context.Context, filters []string, limit int) (n int, err error) {
	var wild []string
	for _, filter := range filters {
		if strings.ContainsAny(filter, "*>") {
			wild = append(wild, filter)
		}
	}
	n = len(filters) - len(wild)
	if len(filters) == 0 {
		wild = []string{">"}
	}
	all, err := l.subjects(ctx)
	if err != nil {
		return 0, err
	}
	if all <= feed.FewSubjects && (limit == 0 || all <= limit) {
		return all, nil
	}
	for _, filter := range wild {
		if limit > 0 && n > limit {
			break
		}
		matching, err := l.countSubjects(ctx, filter, all)
		if err != nil {
			return 0, err
		}
		n += matching
	}
	return n, nil
}

// subjects returns how many subjects the whole stream has, which the server knows.
func (l *Store) subjects(ctx context.Context) (n int, err error) {
	err = l.retry(ctx, func() error {
		info, err := l.info(ctx)
		n = info.State.Subjects
		return err
	})
	return n, err
}

// countSubjects counts the subjects that match one filter, out of all.
func (l *Store) countSubjects(ctx context.Context, filter string, all int) (n int, err error) {
	if filter == ">" {
		return all, nil
	}
	err = l.retry(ctx, func() (err error) {
		n, err = l.countOnce(ctx, filter, all)
		return err
	})
	return n, err
}

// countOnce keeps its place in the queue until the server has answered, also when ctx ends before.
func (l *Store) countOnce(ctx context.Context, filter string, all int) (int, error) {
	release, err := l.opts.Scans.acquire(ctx, all)
	if err != nil {
		return 0, err
	}
	var resp struct {
		streamInfo
		Total int `json:"total"`
	}
	done := make(chan error, 1)
	started := l.creates.group.start(func() {
		defer release()
		done <- l.scan(all).request(l.ctx, "STREAM.INFO."+l.opts.Stream, subjectsQuery{filter, math.MaxInt32}, &resp)
	})
	if !started {
		release()
		return 0, ErrClosed
	}
	select {
	case err := <-done:
		return resp.Total, err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// subjectsQuery asks STREAM.INFO for the subjects that match. An offset behind the last brings their
// number alone, which takes a third of the time that the list of 100,000 does.
type subjectsQuery struct {
	Filter string `json:"subjects_filter"`
	Offset int    `json:"offset"`
}

// scan is the API for a request that goes through a number of subjects.
func (l *Store) scan(subjects int) api {
	a := l.api
	a.timeout += time.Duration(subjects) * scanMargin
	return a
}
