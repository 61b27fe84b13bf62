package auth

import (
	"net/http"
	"regexp"
	"strconv"
	"time"
)

// grantEnd returns the end of a gateway's grant, or the zero time if no header is configured. The rules
// are those of a token's exp, but without a leeway: the gateway sets the header for each request, while
// a token may be old.
func (h *HeaderSource) grantEnd(r *http.Request) (time.Time, error) {
	if h.expires == "" {
		return time.Time{}, nil
	}
	text, err := onlyValue(r, h.expires)
	if err != nil {
		return time.Time{}, err
	}
	if text == "" {
		return time.Time{}, invalidToken("the gateway did not send the header %s with the end of the grant (auth.header.expires)", h.expires)
	}
	end, ok := parseGrantEnd(text)
	switch {
	case !ok:
		return time.Time{}, badRequest("the header %s is not a time; write Unix seconds, or RFC 3339 such as 2026-11-27T10:00:00Z (auth.header.expires)", h.expires)
	case end.Unix() > maxDate:
		return time.Time{}, badRequest("the header %s is beyond 10^11: it seems to be in milliseconds; write seconds since 1970 (auth.header.expires)", h.expires)
	case !time.Now().Before(end):
		expired := invalidToken("the grant of the gateway has ended (%s); log in again", h.expires)
		expired.Err = ErrExpired
		return time.Time{}, expired
	}
	return end, nil
}

// unixSeconds matches Unix seconds with an optional fraction. It accepts 19 digits, enough for
// nanoseconds, so that times in smaller units are rejected as too large.
var unixSeconds = regexp.MustCompile(`^([0-9]{1,19})(?:\.[0-9]{1,9})?$`)

// parseGrantEnd parses Unix seconds, without their fraction, or RFC 3339.
func parseGrantEnd(text string) (time.Time, bool) {
	if found := unixSeconds.FindStringSubmatch(text); found != nil {
		seconds, err := strconv.ParseInt(found[1], 10, 64)
		return time.Unix(seconds, 0), err == nil
	}
	end, err := time.Parse(time.RFC3339, text)
	return end, err == nil
}
