package jetlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Action says what Provision did.
type Action string

const (
	Unchanged Action = "unchanged" // the stream is as wanted
	Missing   Action = "missing"   // there is none, and none was made
	Created   Action = "created"   // it was missing
	Differs   Action = "differs"   // it was left as it is
	Applied   Action = "applied"   // it was changed
)

// Outcome is what Provision found and did.
type Outcome struct {
	Action Action
	// Differences are those found before anything was changed.
	Differences []Difference
}

// Provision creates the stream when it is missing. When the server's differs from want, it
// is changed only if apply is set. It asks once, and blocks until JetStream answers or ctx
// ends; where ctx has no deadline, for five seconds a request.
func Provision(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, apply bool) (Outcome, error) {
	want.Metadata = ownMetadata(want.Metadata)
	out, err := Inspect(ctx, js, want)
	switch {
	case err != nil:
		return out, err
	case out.Action == Missing:
		return create(ctx, js, want)
	case out.Action == Unchanged, !apply:
		return out, nil
	}
	if _, err := js.UpdateStream(ctx, want); err != nil {
		return out, advise("change", want.Name, err)
	}
	out.Action = Applied
	return out, nil
}

// Inspect compares the stream with want, and changes nothing: Missing, Unchanged or Differs.
// It blocks as Provision does.
func Inspect(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) (Outcome, error) {
	want.Metadata = ownMetadata(want.Metadata)
	stream, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return Outcome{Action: Missing}, nil
	}
	if err != nil {
		return Outcome{}, fmt.Errorf("look up stream %s: %w", want.Name, err)
	}
	diffs := Compare(want, stream.CachedInfo().Config)
	if len(diffs) == 0 {
		return Outcome{Action: Unchanged}, nil
	}
	return Outcome{Action: Differs, Differences: diffs}, nil
}

func create(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) (Outcome, error) {
	if _, err := js.CreateStream(ctx, want); err != nil {
		return Outcome{}, advise("create", want.Name, err)
	}
	return Outcome{Action: Created}, nil
}

// Error codes of JetStream that an operator can do something about, from errors.json.
var advice = map[jetstream.ErrorCode]string{
	10023: "the server has not enough resources: check its JetStream limits",
	10047: "the server's storage limit is reached: lower max_bytes or raise the limit",
	10028: "the server's memory limit is reached: lower max_bytes or use file storage",
	10052: "the server refuses the configuration: change the field that it names, or recreate the stream",
	10058: "another client created the stream meanwhile, with another configuration: run again to see the differences",
	10065: "another stream takes some of the subjects: change subjects here or there",
	10074: "there are too few servers for num_replicas (streams.replicas): lower it, or add servers",
	10005: "no server suits placement and num_replicas (streams.replicas): change them, or add servers",
	10109: "the stream is sealed for good: recreate it",
}

func advise(verb, name string, err error) error {
	hint := ""
	if api, ok := errors.AsType[*jetstream.APIError](err); ok && advice[api.ErrorCode] != "" {
		hint = advice[api.ErrorCode] + ": "
	}
	return fmt.Errorf("cannot %s stream %s: %s%w", verb, name, hint, err)
}
