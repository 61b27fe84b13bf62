package streambackup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// epochKey is the stream metadata with the epoch chosen by an operator.
const epochKey = "tidemark.epoch"

// restoreTimeout limits the server's work after the last part.
const restoreTimeout = time.Hour

// RestoreOptions changes the restored configuration of a stream.
type RestoreOptions struct {
	// Replicas and MaxBytes override the values of the backup unless they are zero.
	Replicas int
	MaxBytes int64
	// Epoch returns the tidemark.epoch of the definition of a stream, or "". It overrides the value of the
	// backup.
	Epoch func(stream string) string
	// Own contains the built-in streams with their subjects. A backup of such a stream must have the same
	// subjects, and no other stream may have them.
	Own map[string][]string
	// AllowExternal permits a mirror and sources in other accounts or domains (external).
	AllowExternal bool
}

// Found is a valid backup.
type Found struct {
	Dir    string
	Config jetstream.StreamConfig // the configuration to restore
}

// Check examines the backup in dir like Restore, but without a server: its files, its name, and its
// configuration.
func Check(ctx context.Context, dir string, change RestoreOptions) (Found, error) {
	backup, archive, err := open(ctx, dir, change)
	if err != nil {
		return Found{}, err
	}
	defer archive.Close()
	cfg, err := backup.config()
	return Found{Dir: dir, Config: cfg}, err
}

// open reads and checks a backup. The caller closes the archive.
func open(ctx context.Context, dir string, change RestoreOptions) (metadata, *os.File, error) {
	backup, err := readMetadata(dir)
	if err != nil {
		return backup, nil, err
	}
	fail := func(err error) (metadata, *os.File, error) {
		return backup, nil, fmt.Errorf("restore of stream %s from %s: %w", backup.stream(), dir, err)
	}
	if err := change.check(backup, dir); err != nil {
		return fail(err)
	}
	archive, err := openArchive(dir)
	if err != nil {
		return fail(err)
	}
	if backup.Config, err = change.apply(ctx, backup, archive.Name()); err != nil {
		return fail(errors.Join(err, archive.Close()))
	}
	return backup, archive, nil
}

// Restore creates a stream from the backup in dir. It fails if the stream exists. It blocks until the
// server has restored the stream, which takes time for a large one.
func Restore(ctx context.Context, js jetstream.JetStream, dir string, change RestoreOptions) (Summary, error) {
	backup, archive, err := open(ctx, dir, change)
	if err != nil {
		return Summary{}, err
	}
	defer archive.Close()
	stream := backup.stream()
	state, err := restore(ctx, js, backup, archive)
	if err != nil {
		return Summary{}, fmt.Errorf("restore of stream %s from %s: %w", stream, dir, err)
	}
	return Summary{Stream: stream, Dir: dir, Messages: state.Msgs, FirstSeq: state.FirstSeq, LastSeq: state.LastSeq}, nil
}

func restore(ctx context.Context, js jetstream.JetStream, backup metadata, archive io.Reader) (jetstream.StreamState, error) {
	stream := backup.stream()
	none := jetstream.StreamState{}
	switch _, err := js.Stream(ctx, stream); {
	case err == nil:
		return none, errExists
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		return none, err
	}
	state, err := upload(ctx, js, backup, archive)
	if err == nil && state.LastSeq < backup.State.LastSeq {
		err = fmt.Errorf("the stream ends with sequence %d, the backup with %d; the backup is damaged, use another one", state.LastSeq, backup.State.LastSeq)
	}
	if err != nil {
		return none, errors.Join(err, discard(context.WithoutCancel(ctx), js, stream))
	}
	return state, nil
}

var errExists = errors.New("the server has a stream of that name, which is not changed; " +
	"restore into a new directory (nats.embedded.dir), or delete the stream first, with all nodes stopped")

// apply returns the configuration to restore. The epoch must differ from that of the backup. An epoch
// derived from the creation time changes by itself, unless the archive keeps that time. A chosen epoch
// changes only with the definition.
func (o RestoreOptions) apply(ctx context.Context, backup metadata, archive string) (map[string]json.RawMessage, error) {
	keeps, err := keepsEpoch(ctx, archive)
	if err != nil {
		return nil, err
	}
	labels := map[string]string{}
	if raw := backup.Config["metadata"]; raw != nil {
		if err := json.Unmarshal(raw, &labels); err != nil {
			return nil, fmt.Errorf("%s: metadata: %w", metadataFile, err)
		}
	}
	chosen := ""
	if o.Epoch != nil {
		chosen = o.Epoch(backup.stream())
	}
	switch had := labels[epochKey]; {
	case had != "" && (chosen == had || chosen == ""):
		return nil, fmt.Errorf("the backup has %s %q, under which clients would miss events silently; "+
			"set another %s in the definition of the stream (streams.dir)", epochKey, had, epochKey)
	case keeps && chosen == "":
		return nil, fmt.Errorf("the archive is that of a NATS server before 2.15 and keeps the epoch, under which clients "+
			"would miss events silently; set %s in the definition of the stream (streams.dir)", epochKey)
	}
	set := map[string]any{}
	if chosen != "" {
		labels[epochKey] = chosen
		set["metadata"] = labels
	}
	if o.Replicas > 0 {
		set["num_replicas"] = o.Replicas
	}
	if o.MaxBytes > 0 {
		set["max_bytes"] = o.MaxBytes
	}
	return changed(backup.Config, set)
}

// changed returns a copy of cfg with the fields of set.
func changed(cfg map[string]json.RawMessage, set map[string]any) (map[string]json.RawMessage, error) {
	cfg = maps.Clone(cfg)
	for field, value := range set {
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		cfg[field] = raw
	}
	return cfg, nil
}

// upload sends the archive, and returns the state of the restored stream.
func upload(ctx context.Context, js jetstream.JetStream, backup metadata, archive io.Reader) (jetstream.StreamState, error) {
	var state jetstream.StreamState
	body, err := json.Marshal(backup)
	if err != nil {
		return state, err
	}
	var to struct {
		Subject string `json:"deliver_subject"`
	}
	send := func(subject string, body []byte, timeout time.Duration, resp any) error {
		wait, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return stalled(ctx, request(wait, js.Conn(), subject, body, resp), timeout)
	}
	if err := send(apiSubject(js, "STREAM.RESTORE."+backup.stream()), body, requestTimeout, &to); err != nil {
		return state, err
	}
	chunk := make([]byte, chunkSize)
	for {
		n, err := io.ReadFull(untilDone{ctx, archive}, chunk)
		if n > 0 {
			if err := send(to.Subject, chunk[:n], stallTimeout, nil); err != nil {
				return state, err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return state, err
		}
	}
	var restored struct {
		State jetstream.StreamState `json:"state"`
	}
	err = send(to.Subject, nil, restoreTimeout, &restored)
	return restored.State, err
}

// discard removes a partly restored stream. The stream did not exist before.
func discard(ctx context.Context, js jetstream.JetStream, stream string) error {
	err := js.DeleteStream(ctx, stream)
	if err == nil || errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	return fmt.Errorf("a part of it may have been restored; delete the stream: %w", err)
}
