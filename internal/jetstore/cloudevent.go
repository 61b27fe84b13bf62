package jetstore

import (
	"cmp"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/msgheader"
)

// cloudEvent returns the attributes of a message that was published as a CloudEvent in the binary mode; nil for
// others. An extension with a name that CloudEvents does not allow, or that Tidemark uses, is left out.
func cloudEvent(header nats.Header) *feed.CloudEvent {
	var found *feed.CloudEvent
	for name, values := range header {
		if !strings.HasPrefix(name, msgheader.CloudEventPrefix) || len(values) == 0 || values[0] == "" {
			continue
		}
		if found == nil {
			found = &feed.CloudEvent{}
		}
		value := strings.Clone(values[0]) // all headers of a message share one string
		switch name {
		case msgheader.CloudEventID:
			found.ID = value
		case msgheader.CloudEventSource:
			found.Source = value
		case msgheader.CloudEventTime:
			found.Time = value
		case msgheader.CloudEventSubject:
			found.Subject = value
		case msgheader.CloudEventSchema:
			found.Schema = value
		default:
			if attribute := name[len(msgheader.CloudEventPrefix):]; feed.ValidExtension(attribute) {
				found.Extensions = append(found.Extensions, feed.Attribute{Name: strings.Clone(attribute), Value: value})
			}
		}
	}
	if found != nil { // the order of a map changes
		slices.SortFunc(found.Extensions, func(a, b feed.Attribute) int { return cmp.Compare(a.Name, b.Name) })
	}
	return found
}
