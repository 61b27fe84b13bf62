package feedhttp

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// publishQuery has the parameters of a request whose body is data.
type publishQuery struct {
	user  string // with hasUser: the user that the body is for
	end   bool   // the body, or its end, completes the subject
	endOn string // the data of the event that completes the subject of an event stream

	hasUser, hasEndOn bool
}

// publishParams are the parameters of publish requests. Identities may have others, see PublishOptions.QueryParams.
var publishParams = []string{"user", "end", "end_on"}

// readQuery returns the parameters of a publish request. It refuses unknown ones: an event with ?ends=1 would leave its
// subject open.
func (p *publisher) readQuery(r *http.Request) (q publishQuery, err error) {
	if r.URL.RawQuery == "" {
		return q, nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return q, badRequest("the query cannot be read: %v", err)
	}
	for name, values := range query {
		switch {
		case slices.Contains(p.opts.QueryParams, name):
		case !slices.Contains(publishParams, name):
			return q, badRequest("the query parameter %.100q is not known; the parameters are %s", name, strings.Join(publishParams, ", "))
		case len(values) > 1:
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
