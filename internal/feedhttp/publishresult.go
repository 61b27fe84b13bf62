package feedhttp

import (
	"encoding/json"

	"github.com/tidemark/tidemark/internal/feed"
)

// PublishResult is the answer for one event.
type PublishResult struct {
	Stream string `json:"stream,omitempty"`
	Seq    uint64 `json:"seq,omitempty"`
	// Position is JSON null where clients receive the event from a stream that sources Stream: it
	// has no position there yet.
	Position  ResultPosition `json:"position,omitzero"`
	Duplicate bool           `json:"duplicate,omitempty"`
	Error     string         `json:"error,omitempty"`
	// Outcome is set with Error.
	Outcome Outcome `json:"outcome,omitempty"`
}

// ResultPosition is the position of a stored event. The zero value means that the event is not stored.
type ResultPosition struct {
	Text    string
	Unknown bool // Text is empty, and the event is stored
}

// MarshalJSON returns a string, or null for an unknown position.
func (p ResultPosition) MarshalJSON() ([]byte, error) {
	if p.Unknown {
		return []byte("null"), nil
	}
	return json.Marshal(p.Text)
}

// UnmarshalJSON reads the form of MarshalJSON.
func (p *ResultPosition) UnmarshalJSON(b []byte) error {
	*p = ResultPosition{Unknown: string(b) == "null"}
	return json.Unmarshal(b, &p.Text)
}

// resultOf maps the result of the store to the answer.
func resultOf(res feed.Result) PublishResult {
	if res.Err != nil {
		p := storeProblem(res.Err)
		return PublishResult{Error: p.Detail, Outcome: Outcome(p.Outcome)}
	}
	result := PublishResult{Stream: res.Ack.Stream, Seq: res.Ack.Position.Seq, Duplicate: res.Ack.Duplicate}
	if result.Position.Unknown = res.Ack.Sourced; !res.Ack.Sourced {
		result.Position.Text = res.Ack.Position.String()
	}
	return result
}
