package server

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/subject"
)

// OwnConnection is a stream of this node.
type OwnConnection struct {
	ID       uint64                   `json:"id"` // for POST /admin/connections/{id}/close
	User     string                   `json:"user,omitempty"`
	Feed     string                   `json:"feed"`
	Remote   string                   `json:"remote"`
	Since    time.Time                `json:"since"`
	Position string                   `json:"position,omitempty"` // the last id that was sent
	Filters  int                      `json:"filters"`
	Events   int                      `json:"events"`
	State    feedhttp.ConnectionState `json:"state"`
}

// OwnConnections is the answer of GET /admin/connections.
type OwnConnections struct {
	Total       int             `json:"total"` // that match, on this page or not
	Connections []OwnConnection `json:"connections"`
	// Next is what ?after= goes on with; only in the order of ids.
	Next uint64 `json:"next,omitempty"`
}

// ownQuery is what /admin/connections is asked for.
type ownQuery struct {
	user, feed, state, sort string
	after                   uint64
	limit                   int
}

var orders = map[string]func(a, b feedhttp.Connection) int{
	"":       func(a, b feedhttp.Connection) int { return cmp.Compare(a.ID, b.ID) },
	"id":     func(a, b feedhttp.Connection) int { return cmp.Compare(a.ID, b.ID) },
	"events": func(a, b feedhttp.Connection) int { return cmp.Compare(b.Events, a.Events) },
	"since":  func(a, b feedhttp.Connection) int { return b.Since.Compare(a.Since) },
	"user":   func(a, b feedhttp.Connection) int { return cmp.Compare(a.User, b.User) },
}

func parseOwnQuery(values url.Values) (q ownQuery, err error) {
	q.limit = 100
	into := map[string]*string{"user": &q.user, "feed": &q.feed, "state": &q.state, "sort": &q.sort, "after": nil, "limit": nil}
	for name, list := range values {
		field, known := into[name]
		if !known || len(list) > 1 {
			return q, badQuery("only ?user=, ?feed=, ?state=, ?sort=, ?after= and ?limit= are known here, each once")
		}
		if field != nil {
			*field = list[0]
		}
	}
	if _, ok := orders[q.sort]; !ok {
		return q, badQuery("?sort= must be id, events, since or user")
	}
	states := []string{"", string(feedhttp.Waiting), string(feedhttp.Replaying), string(feedhttp.Live)}
	if !slices.Contains(states, q.state) {
		return q, badQuery("?state= must be waiting, replaying or live")
	}
	if text := values.Get("limit"); text != "" {
		if q.limit, err = strconv.Atoi(text); err != nil || q.limit < 1 || q.limit > maxConnections {
			return q, badQuery("?limit= must be a number from 1 to %d", maxConnections)
		}
	}
	if text := values.Get("after"); text != "" {
		if q.after, err = strconv.ParseUint(text, 10, 64); err != nil || q.sort != "" && q.sort != "id" {
			return q, badQuery("?after= must be an id, and only the order of ids can be gone on with")
		}
	}
	return q, nil
}

func (q ownQuery) matches(c feedhttp.Connection) bool {
	return c.State != feedhttp.Ended && (q.user == "" || c.User == q.user) && (q.feed == "" || c.Feed == q.feed) &&
		(q.state == "" || string(c.State) == q.state)
}

// ownConnections tells of the streams of this node. It looks at all of them: some 200 bytes each
// meanwhile, for at most maxReaders at a time.
func (s *Server) ownConnections(c echo.Context) error {
	values, err := url.ParseQuery(c.Request().URL.RawQuery)
	var q ownQuery
	if err == nil {
		q, err = parseOwnQuery(values)
	}
	if err != nil {
		feedhttp.Refuse(c.Response(), err)
		return nil
	}
	select {
	case s.readers <- struct{}{}:
		defer func() { <-s.readers }()
	case <-c.Request().Context().Done():
		return nil
	}
	return c.JSON(http.StatusOK, s.listOwn(q))
}

func (s *Server) listOwn(q ownQuery) OwnConnections {
	var found []feedhttp.Connection
	for _, h := range s.streams {
		found = append(found, slices.DeleteFunc(h.Connections(), func(c feedhttp.Connection) bool { return !q.matches(c) })...)
	}
	slices.SortStableFunc(found, func(a, b feedhttp.Connection) int { return cmp.Or(orders[q.sort](a, b), orders["id"](a, b)) })
	answer := OwnConnections{Total: len(found), Connections: []OwnConnection{}}
	for _, c := range found {
		if q.after > 0 && c.ID <= q.after {
			continue
		}
		if len(answer.Connections) == q.limit {
			if q.sort == "" || q.sort == "id" {
				answer.Next = answer.Connections[q.limit-1].ID
			}
			break
		}
		answer.Connections = append(answer.Connections, ownConnection(c))
	}
	return answer
}

func ownConnection(c feedhttp.Connection) OwnConnection {
	position := ""
	if c.Position.Epoch != "" {
		position = c.Position.String()
	}
	return OwnConnection{
		ID: c.ID, User: c.User, Feed: c.Feed, Remote: c.Remote, Since: c.Since, Position: position,
		Filters: c.Filters, Events: c.Events, State: c.State,
	}
}

// FeedState is one feed of GET /admin/feeds. Feeds of one stream share its window and tail.
type FeedState struct {
	Name     string   `json:"name"`
	Stream   string   `json:"stream"`
	Paths    []string `json:"paths"`
	Subjects []string `json:"subjects"`
	Allow    []string `json:"allow"`
	Window   Window   `json:"window"`
	Tail     Tail     `json:"tail"`

	Connections FeedConnections `json:"connections"`
}

// Tail is how far a node has followed a stream.
type Tail struct {
	Position string `json:"position"`
	Last     uint64 `json:"last"`   // of the stream, as its leader says
	Behind   uint64 `json:"behind"` // sequences
	// Lost says why the stream is out of reach; empty while it is followed.
	Lost string `json:"lost,omitempty"`
	// Resets are how often the tail could not go on where it was, by reason.
	Resets map[feed.Reason]uint64 `json:"resets"`
}

// FeedConnections are the streams of a feed; slow ones are those whose client takes nothing of
// what waits for it.
type FeedConnections struct {
	Live      int `json:"live"`
	Replaying int `json:"replaying"`
	Slow      int `json:"slow"`
}

func (s *Server) feedStates(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), readyTimeout)
	defer cancel()
	tails := map[string]Tail{}
	for name, f := range s.feeds {
		tails[name] = tailOf(ctx, f)
	}
	all := []FeedState{}
	for i, f := range s.opts.Feeds {
		status := s.streams[i].Status()
		all = append(all, FeedState{
			Name: f.Name, Stream: f.Stream, Paths: f.Paths, Subjects: texts(f.Subjects), Allow: texts(f.Allow),
			Window: windowOf(s.feeds[f.Stream]), Tail: tails[f.Stream],
			Connections: FeedConnections{status.Live, status.Replaying, status.Slow},
		})
	}
	slices.SortFunc(all, func(a, b FeedState) int { return cmp.Compare(a.Name, b.Name) })
	return c.JSON(http.StatusOK, map[string][]FeedState{"feeds": all})
}

// tailOf asks the stream's leader, and tells what the node knows where it does not answer.
func tailOf(ctx context.Context, f *feed.Feed) Tail {
	state, err := f.State(ctx)
	status := f.Status()
	t := Tail{Position: feed.Position{Seq: status.High, Epoch: status.Epoch}.String(), Last: status.High, Resets: status.Losses}
	if err == nil {
		err = status.Lost
		t.Last = state.LastSeq
		t.Behind = max(state.LastSeq, status.High) - status.High
	}
	if err != nil {
		t.Lost = err.Error()
	}
	return t
}

func texts(templates []subject.Template) []string {
	out := make([]string, len(templates))
	for i, t := range templates {
		out[i] = t.String()
	}
	return out
}
