package streamdef

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// Action is the effect of Provision.
type Action string

// The effects.
const (
	Unchanged Action = "unchanged" // there was no difference
	Missing   Action = "missing"   // it does not exist, and was not created
	Created   Action = "created"   // it did not exist
	Differs   Action = "differs"   // it differs, and was not changed
	Applied   Action = "applied"   // it was changed
)

// Outcome is the result of Provision.
type Outcome struct {
	Action Action
	// Differences are those found before anything was changed.
	Differences []Difference
	// Owned reports that the stream was created by ProvisionOwned, now or earlier, here or
	// elsewhere.
	Owned bool
	// Epoch is that of the stream; see feed.Position. Empty where there is none.
	Epoch string
}

// Provision creates the stream when it is missing. When the server's differs from want, it
// is changed only if apply is set. It tries once, and blocks until JetStream answers or ctx
// ends; where ctx has no deadline, for five seconds a request.
func Provision(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, apply bool) (Outcome, error) {
	return provision(ctx, js, want, apply, false)
}

// ProvisionOwned is Provision with a mark, for nodes: they create lost streams again. A
// stream that it creates has the metadata tidemark.created_by, so that every instance of the
// program recognises the stream, also after a restart. A stream that exists without
// the mark does not receive it. Several instances may call it at once.
func ProvisionOwned(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, apply bool) (Outcome, error) {
	return provision(ctx, js, want, apply, true)
}

func provision(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, apply, owned bool) (Outcome, error) {
	want.Metadata = ownMetadata(want.Metadata)
	out, err := Inspect(ctx, js, want)
	switch {
	case err != nil:
		return out, err
	case out.Action == Missing:
		if owned {
			want.Metadata = marked(want.Metadata)
		}
		return create(ctx, js, want)
	case out.Action == Unchanged, !apply:
		return out, nil
	}
	if out.Owned {
		want.Metadata = marked(want.Metadata)
	}
	if _, err := js.UpdateStream(ctx, want); err != nil {
		return out, advise("change", want, err)
	}
	out.Action = Applied
	return out, nil
}

// createdByKey is the stream metadata that marks streams which nodes create again when they are lost. Its
// value is the same for all nodes: JetStream accepts a second create of the same configuration.
const (
	createdByKey  = "tidemark.created_by"
	createdByNode = "node"
)

func marked(metadata map[string]string) map[string]string {
	all := map[string]string{createdByKey: createdByNode}
	maps.Copy(all, metadata)
	return all
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
	info := stream.CachedInfo()
	have := info.Config
	out := Outcome{Action: Unchanged, Owned: have.Metadata[createdByKey] != "", Epoch: Epoch(info.Created, have.Metadata)}
	if out.Differences = Compare(want, have); len(out.Differences) > 0 {
		out.Action = Differs
	}
	return out, nil
}

func create(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) (Outcome, error) {
	stream, err := js.CreateStream(ctx, want)
	if err != nil {
		return Outcome{}, advise("create", want, err)
	}
	return Outcome{
		Action: Created, Owned: want.Metadata[createdByKey] != "",
		Epoch: Epoch(stream.CachedInfo().Created, want.Metadata),
	}, nil
}

// Error codes of JetStream that an operator can do something about, from errors.json.
var advice = map[jetstream.ErrorCode]string{
	10023: "the server has not enough resources: check its JetStream limits",
	10002: "the limits of the account are reached: set streams.max_bytes to less, or raise them",
	10047: "JetStream reserves max_bytes, and its storage limit (by default three quarters of the free disk) has less left: " +
		"set streams.max_bytes to less, such as 256MiB, or make room",
	10113: "the account requires max_bytes: set streams.max_bytes",
	10122: "the account limits max_bytes: set streams.max_bytes to less",
	10028: "the server's memory limit is reached: lower max_bytes or use file storage",
	10052: "the server refuses the configuration: change the field that it names, or recreate the stream",
	10058: "another client created the stream meanwhile, with another configuration: run again to see the differences",
	10065: "another stream takes some of the subjects: change subjects here or there",
	10074: "there are too few servers for num_replicas (streams.replicas): lower it, or add servers",
	10005: "no server suits placement and num_replicas (streams.replicas): change them, or add servers",
	10109: "the stream is sealed for good: recreate it",
}

func advise(verb string, want jetstream.StreamConfig, err error) error {
	hint := ""
	if api, ok := errors.AsType[*jetstream.APIError](err); ok && advice[api.ErrorCode] != "" {
		hint = advice[api.ErrorCode] + ": "
		if strings.Contains(hint, "max_bytes") && want.MaxBytes > 0 {
			hint = fmt.Sprintf("max_bytes is %d: %s", want.MaxBytes, hint)
		}
	}
	return fmt.Errorf("cannot %s stream %s: %s%w", verb, want.Name, hint, err)
}
