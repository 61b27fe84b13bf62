package feedhttp

import (
	"net/http"
	"net/url"
)

// publishQuery has the parameters of a request whose body is data.
type publishQuery struct {
	user  string // with hasUser: the user that the body is for
	end   bool   // the body, or its end, completes the subject
	endOn string // the data of the event that completes the subject of an event stream

	hasUser, hasEndOn bool
}

// readPublishQuery returns the parameters of a publish request.
func readPublishQuery(r *http.Request) (q publishQuery, err error) {
	if r.URL.RawQuery == "" {
		return q, nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return q, badRequest("the query cannot be read: %v", err)
	}
	for name, values := range query {
		if (name == "user" || name == "end" || name == "end_on") && len(values) > 1 {
			return q, badRequest("?%s= is given %d times; send it once", name, len(values))
		}
	}
	q.user, q.hasUser = query.Get("user"), query.Has("user")
	q.endOn, q.hasEndOn = query.Get("end_on"), query.Has("end_on")
	if q.hasUser && q.user == "" {
		return q, badRequest("?user= is empty; name the user that the event is for")
	}
	if q.hasEndOn && !isEventStream(r.Header) {
		return q, badRequest("?end_on= is for event streams; send Content-Type: text/event-stream")
	}
	q.end, err = flag(query, "end", "1")
	return q, err
}
