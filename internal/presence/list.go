package presence

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Query selects connections. The zero Query selects all.
type Query struct {
	User, Node, Feed string
	// After continues after a page, with its Next.
	After string
	// Limit is the maximum size of a page; 1000 if zero.
	Limit int
}

// Page is a part of a list. Pages are read at different times: connections opened or closed in between may
// be missing or outdated, but no connection is listed twice.
type Page struct {
	Connections []Connection
	// Next is the After of the next page; empty for the last page.
	Next string
}

func (q Query) matches(c Connection) bool {
	return (q.User == "" || c.User == q.User) && (q.Feed == "" || c.Feed == q.Feed)
}

// check returns the start of a page: its shard, and the id before it.
func (q Query) check() (shard int, after string, err error) {
	if q.Node != "" {
		if err := CheckNode(q.Node); err != nil {
			return 0, "", err
		}
	}
	if q.After == "" {
		return 0, "", nil
	}
	first, after, ok := strings.Cut(q.After, ".")
	shard, err = strconv.Atoi(first)
	if !ok || err != nil || shard < 0 || shard >= Shards {
		return 0, "", fmt.Errorf("%q is not the end of a page; use the value of the previous page", q.After)
	}
	return shard, after, nil
}

// List returns the connections of all nodes selected by a query.
//
// It reads shard by shard until the page is full, with one shard of all nodes in memory. It blocks until
// the bucket was read or ctx ends. It returns ErrUnavailable, or an error for an invalid query.
func (p *Presence) List(ctx context.Context, q Query) (Page, error) {
	first, after, err := q.check()
	if err != nil {
		return Page{}, err
	}
	last, limit := Shards-1, q.Limit
	if limit <= 0 {
		limit = 1000
	}
	if q.User != "" {
		last = userShard(q.User)
		if first < last {
			first, after = last, ""
		}
	}
	page, at := Page{Connections: []Connection{}}, ""
	for shard := first; shard <= last; shard++ {
		list, err := p.readShard(ctx, q, shard)
		if err != nil {
			return Page{}, err
		}
		for _, c := range list {
			if c.ID <= after {
				continue
			}
			if len(page.Connections) == limit {
				page.Next = at
				return page, nil
			}
			at = fmt.Sprintf("%02d.%s", shard, c.ID)
			page.Connections = append(page.Connections, c)
		}
		after = ""
	}
	return page, nil
}
