package feedhttp

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/tidemark/tidemark/internal/feed"
)

// positionParams are the query parameters that hold a position, as clients that cannot set the
// header name them.
var positionParams = []string{
	"last_event_id",
	"lastEventId",       // event-source-polyfill, reconnecting-eventsource
	"lastEventID",       // other spellings that clients are configured with
	"Last-Event-ID",     //
	"last-event-id",     //
	"evs_last_event_id", // the polyfill of amvtek
}

var withoutDashes = strings.NewReplacer("-", "", "_", "")

// isPositionParam reports whether a query parameter holds a position. A name that merely looks
// like one is an error: to ignore it would lose events silently.
func isPositionParam(name string) (bool, error) {
	for _, known := range positionParams {
		if name == known {
			return true, nil
		}
	}
	switch plain := withoutDashes.Replace(strings.ToLower(name)); {
	case strings.HasSuffix(plain, "eventid"), plain == "cursor", plain == "offset":
		return false, badRequest("the query parameter %q is not known; a position is ?last_event_id=", name)
	case plain == "since":
		return false, badRequest("the query parameter %q is not known; a position is ?last_event_id=, and ?from= takes a time or a sequence", name)
	}
	return false, nil
}

// positionsIn returns the positions of a query, without empty ones, in their order.
func positionsIn(rawQuery string, query url.Values) ([]string, error) {
	var found []string
	for name, values := range query {
		is, err := isPositionParam(name)
		if err != nil {
			return nil, err
		}
		if !is {
			continue
		}
		for _, v := range values {
			if v != "" {
				found = append(found, v)
			}
		}
	}
	if len(found) < 2 {
		return found, nil
	}
	return inOrder(rawQuery), nil
}

// inOrder reads a query that url.ParseQuery has accepted, which does not keep the order of
// different parameters.
func inOrder(rawQuery string) (found []string) {
	for pair := range strings.SplitSeq(rawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, _ = url.QueryUnescape(name)
		value, _ = url.QueryUnescape(value)
		if is, err := isPositionParam(name); is && err == nil && value != "" {
			found = append(found, value)
		}
	}
	return found
}

// startOf reads where a request begins, the strongest source first: the header, which an
// EventSource sets when it reconnects; the positions in the query, which it repeats in every
// request; ?from=. With ignored, which is of positions of another account, ?from= is all that counts.
func startOf(header http.Header, rawQuery string, query url.Values, ignored bool, parseFrom func(string) (feed.Start, error)) (feed.Start, error) {
	positions, err := positionsIn(rawQuery, query)
	if err != nil {
		return feed.Start{}, err
	}
	for _, id := range header["Last-Event-Id"] { // as net/http spells it
		if !ignored && id != "" {
			return feed.Resume(id), nil
		}
	}
	if len(positions) > 0 && !ignored {
		return feed.Resume(positions...), nil
	}
	start, err := parseFrom(query.Get("from"))
	if err != nil {
		return start, badRequest("?from=: %v", err)
	}
	return start, nil
}
