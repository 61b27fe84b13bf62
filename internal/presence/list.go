package presence

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Query says which connections are wanted. The zero Query wants all.
type Query struct {
	User, Node, Feed string
	// After goes on behind a page, with its Next.
	After string
	// Limit bounds a page; 1000 when zero.
	Limit int
}

// Page is a part of what was asked for. Pages are not of one moment: who comes or goes
// between them may be missing or there no longer, but nobody is told twice.
type Page struct {
	Connections []Connection
	// Next is where to go on; empty when there is no more.
	Next string
}

func (q Query) matches(c Connection) bool {
	return (q.User == "" || c.User == q.User) && (q.Feed == "" || c.Feed == q.Feed)
}

// check returns where a page begins: in which shard, behind which id.
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
		return 0, "", fmt.Errorf("%q is not where a page ended; take it from the page before", q.After)
	}
	return shard, after, nil
}

// List returns the connections of all nodes that a query wants. It reads shard after shard
// until the page is full, and holds one shard of all nodes in memory besides. It blocks until
// the bucket was read or ctx ends. Errors are ErrUnavailable, or of the query.
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
