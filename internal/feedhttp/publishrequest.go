package feedhttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// PublishRequest is one event of POST /publish.
type PublishRequest struct {
	Subject string `json:"subject"`
	// User takes the place of Subject: the event goes to the subject of that user.
	User  recipient `json:"user,omitzero"`
	Event string    `json:"event"`
	// Data is any JSON. A string goes out as its text, anything else as JSON.
	Data json.RawMessage `json:"data"`
	ID   string          `json:"id"`
	// End completes the subject with this event.
	End explicit `json:"end,omitzero"`
}

// decode reads the next event. It refuses unknown fields, also in other letters, and duplicate fields.
func (r *PublishRequest) decode(dec *json.Decoder) error {
	return decodeFields(dec, jsonField{"subject", (*text)(&r.Subject)}, jsonField{"user", &r.User},
		jsonField{"event", (*text)(&r.Event)}, jsonField{"data", &r.Data}, jsonField{"id", (*text)(&r.ID)},
		jsonField{"end", &r.End})
}

// payload takes a JSON string for its text, and other JSON as it is, on one line.
func payload(data json.RawMessage) ([]byte, error) {
	if len(data) > 0 && data[0] == '"' {
		var text string
		err := json.Unmarshal(data, &text)
		return []byte(text), err
	}
	var line bytes.Buffer
	if len(data) > 0 {
		if err := json.Compact(&line, data); err != nil {
			return nil, err
		}
	}
	return line.Bytes(), nil
}

// decode reads the body of POST /publish, which is not empty: one event, or an array of at most maxBatch.
func decode(body []byte, maxBatch int) (requests []PublishRequest, isArray bool, err error) {
	isArray = bytes.TrimSpace(body)[0] == '['
	requests, err = decodeEvents(body, isArray, maxBatch, func(dec *json.Decoder) (req PublishRequest, err error) {
		err = req.decode(dec)
		return req, err
	})
	return requests, isArray, err
}

// decodeEvents reads a body of one event, or of an array of at most maxBatch. It decodes one event after
// the other and stops at the first that is too many: as a whole, 1 MiB of [{},{},…] would take 75 MiB.
func decodeEvents[T any](body []byte, isArray bool, maxBatch int, one func(*json.Decoder) (T, error)) (events []T, err error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	if isArray {
		events, err = decodeArray(dec, maxBatch, one)
	} else {
		events = make([]T, 1)
		events[0], err = one(dec)
	}
	if err != nil {
		return nil, bodyError(err)
	}
	return events, checkEnd(dec)
}

func decodeArray[T any](dec *json.Decoder, maxBatch int, one func(*json.Decoder) (T, error)) (events []T, err error) {
	if _, err := dec.Token(); err != nil { // the bracket
		return nil, err
	}
	for dec.More() {
		if len(events) == maxBatch {
			return nil, arrayError(fmt.Sprintf("more than %d events in one request; at most %d are taken (publish.max_batch): send them in several", maxBatch, maxBatch))
		}
		event, err := one(dec)
		if err != nil {
			return nil, err
		}
		events = append(events, event)
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if len(events) == 0 {
		return nil, arrayError("the array holds no event")
	}
	return events, nil
}

// arrayError refuses an array for its length.
type arrayError string

func (e arrayError) Error() string { return string(e) }

// bodyError describes what is wrong with a body to its sender.
func bodyError(err error) error {
	if field, ok := errors.AsType[*fieldError](err); ok {
		return field
	}
	if length, ok := errors.AsType[arrayError](err); ok {
		return length
	}
	return fmt.Errorf("the body is not the expected JSON: %s; to publish data unchanged, POST it to /publish/{subject}", strings.TrimPrefix(err.Error(), "json: "))
}

// checkEnd returns an error if anything follows the JSON value of a body.
func checkEnd(dec *json.Decoder) error {
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more data follows the JSON value of the body; send several events as an array")
	}
	return nil
}
