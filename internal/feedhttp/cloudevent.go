package feedhttp

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/msgheader"
)

// Attributes of CloudEvents in the binary mode of their HTTP binding, as they are stored; more are in msgheader.
const (
	cloudEventVersion     = "ce-specversion"
	cloudEventSubject     = "ce-subject"
	cloudEventContentType = "ce-datacontenttype"
)

// cloudEvent returns the attributes of a CloudEvent in a request's header, by names in lower case;
// nil for none. They are decoded, and checked to be those of a feed.Message.
func cloudEvent(header http.Header) (attributes map[string]string, err error) {
	for name := range header {
		lower := strings.ToLower(name)
		if !strings.HasPrefix(lower, msgheader.CloudEventPrefix) {
			continue
		}
		encoded, err := single(header, lower)
		if err != nil {
			return nil, err
		}
		if !isAttributeName(lower[len(msgheader.CloudEventPrefix):]) {
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
	return attributes, checkAttributes(attributes)
}

// isBinaryCloudEvent reports whether a header has attributes of a CloudEvent besides ce-type, which alone is another
// name of Event-Type.
func isBinaryCloudEvent(header http.Header) bool {
	for name := range header {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, msgheader.CloudEventPrefix) && lower != msgheader.CloudEventType {
			return true
		}
	}
	return false
}

func isAttributeName(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// checkAttributes checks the attributes that become the type and the id of an event.
func checkAttributes(attributes map[string]string) error {
	if err := feed.CheckType(attributes[msgheader.CloudEventType]); err != nil {
		return &fieldError{field: msgheader.CloudEventType, reason: err.Error()}
	}
	if len(attributes[msgheader.CloudEventID]) > feed.MaxIDLen {
		return &fieldError{field: msgheader.CloudEventID, reason: fmt.Sprintf("must be at most %d bytes", feed.MaxIDLen)}
	}
	return nil
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
	id, source := attributes[msgheader.CloudEventID], attributes[msgheader.CloudEventSource]
	if id == "" || source == "" {
		return id
	}
	return scopedID("cloudevent", source, id)
}
