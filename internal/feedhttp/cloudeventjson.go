package feedhttp

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/msgheader"
)

// Content types of the JSON format of CloudEvents.
const (
	cloudEventJSONType  = "application/cloudevents+json"
	cloudEventBatchType = "application/cloudevents-batch+json"
)

// defaultType is the type of an event that has none, for browsers and in the CloudEvents of clients.
const defaultType = "message"

// cloudEventContent returns the content type of a request whose body is a CloudEvent or a batch of them; empty for
// others.
func cloudEventContent(header http.Header) string {
	name, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err == nil && (name == cloudEventJSONType || name == cloudEventBatchType) {
		return name
	}
	return ""
}

// jsonCloudEvent is a CloudEvent in the JSON format. Attributes have the names of their headers.
type jsonCloudEvent struct {
	attributes   map[string]string
	data, base64 json.RawMessage // nil for none
}

// cloudEvents reads a body of the given content type.
func (p *publisher) cloudEvents(ctx context.Context, body []byte, content string, end bool) (msgs []feed.Message, isArray bool, err error) {
	isArray = content == cloudEventBatchType
	switch first := bytes.TrimSpace(body)[0]; {
	case isArray && first != '[':
		return nil, isArray, fmt.Errorf("the body must be a JSON array of CloudEvents; send one event as %s", cloudEventJSONType)
	case !isArray && first != '{':
		return nil, isArray, fmt.Errorf("the body must be one CloudEvent as a JSON object; send several as %s", cloudEventBatchType)
	case isArray && end:
		return nil, isArray, badRequest("?end=1 is for one event")
	}
	events, err := decodeEvents(body, isArray, p.opts.MaxBatch, decodeCloudEvent)
	if err != nil {
		return nil, isArray, err
	}
	msgs = make([]feed.Message, len(events))
	for i, event := range events {
		if msgs[i], err = p.fromCloudEvent(ctx, event); err != nil {
			return nil, isArray, atIndex(err, i, isArray)
		}
	}
	if end {
		msgs[0].End = true
	}
	return msgs, isArray, nil
}

// decodeCloudEvent reads the next event. It refuses names that are not those of attributes, and duplicates: an event
// could go to another subject than its sender means.
func decodeCloudEvent(dec *json.Decoder) (event jsonCloudEvent, err error) {
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return event, cmp.Or(err, errors.New("a CloudEvent must be a JSON object"))
	}
	event.attributes = make(map[string]string)
	seen := make(map[string]bool)
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return event, err
		}
		name, _ := token.(string) // the decoder returns nothing else here
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return event, err
		}
		if seen[name] {
			return event, &fieldError{field: name, reason: "appears twice"}
		}
		seen[name] = true
		if err := event.set(name, value); err != nil {
			return event, err
		}
	}
	_, err = dec.Token()
	return event, err
}

// set sets a member of the JSON object. A null is like no member, but for the data.
func (e *jsonCloudEvent) set(name string, value json.RawMessage) error {
	switch {
	case name == "data":
		e.data = value
		return nil
	case string(value) == "null":
		return nil
	case name == "data_base64":
		e.base64 = value
		return nil
	case !isAttributeName(name):
		return &fieldError{field: name, reason: "is not an attribute of CloudEvents; they are named by the letters a-z and digits"}
	}
	text, err := attributeText(name, value)
	e.attributes[msgheader.CloudEventPrefix+name] = text
	return err
}

// stringAttributes are those of CloudEvents 1.0 itself. Others may have further types.
var stringAttributes = []string{"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"}

// attributeText returns an attribute as its header has it.
func attributeText(name string, value json.RawMessage) (string, error) {
	if value[0] == '"' {
		var s text
		err := json.Unmarshal(value, &s)
		return string(s), namedError(name, err)
	}
	if slices.Contains(stringAttributes, name) {
		return "", &fieldError{field: name, reason: "must be a string"}
	}
	_, err := strconv.ParseInt(string(value), 10, 32)
	if isBoolean := string(value) == "true" || string(value) == "false"; !isBoolean && err != nil {
		return "", &fieldError{field: name, reason: "must be a string, true or false, or an integer of 32 bits"}
	}
	return string(value), nil
}

// fromCloudEvent returns the message of an event. Errors name attributes.
func (p *publisher) fromCloudEvent(ctx context.Context, event jsonCloudEvent) (msg feed.Message, err error) {
	err = checkCloudEvent(event.attributes)
	if err == nil {
		err = checkSubject(event.attributes)
	}
	if err == nil {
		msg.Data, err = event.payload()
	}
	if err != nil {
		return msg, attributeError(err)
	}
	msg.Subject, msg.ID = event.attributes[cloudEventSubject], cloudEventKey(event.attributes)
	if msg.Type = event.attributes[msgheader.CloudEventType]; msg.Type == defaultType {
		msg.Type = ""
	}
	msg.Header = make(map[string]string, len(event.attributes))
	for name, value := range event.attributes {
		if name == cloudEventContentType {
			name = "Content-Type"
		}
		if name != "Content-Type" || !isDefaultType(value) {
			msg.Header[name] = value
		}
	}
	return msg, attributeError(renameFields(p.check(ctx, msg, 0, false), map[string]string{"event": "type", "Content-Type": "datacontenttype"}))
}

// checkSubject checks that a CloudEvent has the attribute of the subject to publish to.
func checkSubject(attributes map[string]string) error {
	if attributes[cloudEventSubject] == "" {
		return &fieldError{field: cloudEventSubject, reason: "is missing; it is the subject to publish to"}
	}
	return nil
}

// attributeError names the attribute of an error that has the name of its header.
func attributeError(err error) error {
	if wrong, ok := errors.AsType[*fieldError](err); ok {
		wrong.field = strings.TrimPrefix(wrong.field, msgheader.CloudEventPrefix)
	}
	return err
}

// checkCloudEvent checks the attributes that CloudEvents 1.0 prescribes, without the subject.
func checkCloudEvent(attributes map[string]string) error {
	switch got := attributes[cloudEventVersion]; got {
	case "1.0":
	case "":
		return &fieldError{field: cloudEventVersion, reason: `is missing; it must be "1.0"`}
	default:
		return &fieldError{field: cloudEventVersion, reason: fmt.Sprintf(`is %q, and must be "1.0"`, got)}
	}
	for _, name := range []string{msgheader.CloudEventID, msgheader.CloudEventSource, msgheader.CloudEventType} {
		if attributes[name] == "" {
			return &fieldError{field: name, reason: "is missing; every CloudEvent has it"}
		}
	}
	if _, err := url.Parse(attributes[msgheader.CloudEventSource]); err != nil {
		return &fieldError{field: msgheader.CloudEventSource, reason: "must be a URI reference"}
	}
	if at := attributes[msgheader.CloudEventTime]; at != "" {
		if _, err := time.Parse(time.RFC3339, at); err != nil {
			return &fieldError{field: msgheader.CloudEventTime, reason: "must be a time as in RFC 3339, such as 2026-11-27T10:00:00Z"}
		}
	}
	return checkAttributes(attributes)
}

// payload returns the data of an event: JSON on one line, or the text of a JSON string where datacontenttype is not
// JSON, or the bytes of data_base64.
func (e *jsonCloudEvent) payload() ([]byte, error) {
	if e.base64 != nil {
		var encoded text
		if e.data != nil {
			return nil, &fieldError{field: "data_base64", reason: "takes the place of data; send one of them"}
		}
		if err := json.Unmarshal(e.base64, &encoded); err != nil {
			return nil, namedError("data_base64", err)
		}
		data, err := base64.StdEncoding.DecodeString(string(encoded))
		if err != nil {
			return nil, &fieldError{field: "data_base64", reason: "is not base64"}
		}
		return data, nil
	}
	if isJSON(e.attributes[cloudEventContentType]) && len(e.data) > 0 {
		var line bytes.Buffer
		err := json.Compact(&line, e.data)
		return line.Bytes(), err
	}
	return payload(e.data)
}

// isJSON reports whether a content type is that of JSON. A CloudEvent in the JSON format without one has JSON.
func isJSON(contentType string) bool {
	name, _, err := mime.ParseMediaType(cmp.Or(contentType, "application/json"))
	return err == nil && (strings.HasSuffix(name, "/json") || strings.HasSuffix(name, "+json"))
}
