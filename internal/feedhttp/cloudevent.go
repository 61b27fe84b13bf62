package feedhttp

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tidemark/tidemark/internal/feed"
)

// Attributes of CloudEvents in the binary mode of their HTTP binding, as they are stored.
const (
	cloudEventPrefix = "ce-"
	cloudEventType   = "ce-type"
	cloudEventID     = "ce-id"
	cloudEventSource = "ce-source"
)

// cloudEvent returns the attributes of a CloudEvent in a request's header, by names in lower case;
// nil for none. They are decoded, and checked to be those of a feed.Message.
func cloudEvent(header http.Header) (attributes map[string]string, err error) {
	for name := range header {
		lower := strings.ToLower(name)
		if !strings.HasPrefix(lower, cloudEventPrefix) {
			continue
		}
		encoded, err := single(header, lower)
		if err != nil {
			return nil, err
		}
		if strings.Trim(lower[len(cloudEventPrefix):], "abcdefghijklmnopqrstuvwxyz0123456789") != "" || lower == cloudEventPrefix {
			return nil, &fieldError{field: lower, reason: "is not an attribute of CloudEvents; they are named by the letters a-z and digits"}
		}
		value, err := url.PathUnescape(unquote(encoded))
		if err != nil {
			return nil, &fieldError{field: lower, reason: fmt.Sprintf("is not percent-encoded: %v", err)}
		}
		if attributes == nil {
			attributes = make(map[string]string)
		}
		attributes[lower] = value
	}
	if err := feed.CheckType(attributes[cloudEventType]); err != nil {
		return nil, &fieldError{field: cloudEventType, reason: err.Error()}
	}
	if len(attributes[cloudEventID]) > feed.MaxIDLen {
		return nil, &fieldError{field: cloudEventID, reason: fmt.Sprintf("must be at most %d bytes", feed.MaxIDLen)}
	}
	return attributes, nil
}

// unquote removes double quotes around a value, and the backslashes before characters within.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	var text strings.Builder
	for rest := s[1 : len(s)-1]; rest != ""; {
		if rest[0] == '\\' && len(rest) > 1 {
			rest = rest[1:]
		}
		text.WriteByte(rest[0])
		rest = rest[1:]
	}
	return text.String()
}

// cloudEventKey returns the message id of a CloudEvent. A repeat has the same: the id of a CloudEvent is unique
// within its source.
func cloudEventKey(attributes map[string]string) string {
	id, source := attributes[cloudEventID], attributes[cloudEventSource]
	if id == "" || source == "" {
		return id
	}
	return scopedID("cloudevent", source, id)
}
