package streambackup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Summary describes a backup or a restored stream.
type Summary struct {
	Stream   string `json:"stream"`
	Dir      string `json:"dir"`
	Messages uint64 `json:"messages"`
	FirstSeq uint64 `json:"first_seq"`
	LastSeq  uint64 `json:"last_seq"`
}

// Backup writes a stream, without its consumers, to the new directory parent/STREAM.
//
// It blocks until all files are on the disk, ctx ends, or the server sends nothing for 30 seconds. It
// fails if the directory exists, or if the stream does not exist ([jetstream.ErrStreamNotFound]). The
// summary contains the counts at the start of the backup. The backup may contain later messages.
func Backup(ctx context.Context, js jetstream.JetStream, stream, parent string) (Summary, error) {
	dir := filepath.Join(parent, stream)
	if exists(dir) {
		return Summary{}, fmt.Errorf("backup of stream %s: %s exists; name another directory", stream, dir)
	}
	if _, err := js.Stream(ctx, stream); err != nil { // also checks the name
		return Summary{}, fmt.Errorf("backup of stream %s: %w", stream, err)
	}
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return Summary{}, err
	}
	partial, err := os.MkdirTemp(parent, "."+stream+"-partial-")
	if err != nil {
		return Summary{}, err
	}
	defer os.RemoveAll(partial)
	m, err := download(ctx, js, stream, partial)
	if err == nil {
		err = commit(partial, dir)
	}
	if err != nil {
		return Summary{}, fmt.Errorf("backup of stream %s: %w", stream, err)
	}
	return Summary{Stream: stream, Dir: dir, Messages: m.State.Messages, FirstSeq: m.State.FirstSeq, LastSeq: m.State.LastSeq}, nil
}

// download writes both files of a backup.
func download(ctx context.Context, js jetstream.JetStream, stream, dir string) (metadata, error) {
	nc := js.Conn()
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return metadata{}, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	// The server keeps at most a window of some MiB unacknowledged.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return metadata{}, err
	}
	reported, err := begin(ctx, js, stream, inbox)
	if err != nil {
		return metadata{}, err
	}
	if err := receive(ctx, sub, filepath.Join(dir, archiveFile)); err != nil {
		return metadata{}, err
	}
	if old, err := keepsEpoch(ctx, filepath.Join(dir, archiveFile)); err != nil {
		return metadata{}, err
	} else if old {
		if err := os.Rename(filepath.Join(dir, archiveFile), filepath.Join(dir, oldArchiveFile)); err != nil {
			return metadata{}, err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, metadataFile), reported, 0o600); err != nil {
		return metadata{}, err
	}
	return readMetadata(dir)
}

// begin requests a backup, and returns the server's description of the stream.
func begin(ctx context.Context, js jetstream.JetStream, stream, inbox string) ([]byte, error) {
	body, err := json.Marshal(map[string]any{"deliver_subject": inbox, "no_consumers": true, "chunk_size": chunkSize})
	if err != nil {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var reported struct {
		Config json.RawMessage `json:"config"`
		State  json.RawMessage `json:"state"`
	}
	if err := request(wait, js.Conn(), apiSubject(js, "STREAM.SNAPSHOT."+stream), body, &reported); err != nil {
		return nil, stalled(ctx, err, requestTimeout)
	}
	return json.MarshalIndent(reported, "", "  ")
}

// receive writes the parts from the server, up to the last message.
func receive(ctx context.Context, sub *nats.Subscription, name string) (err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for {
		wait, cancel := context.WithTimeout(ctx, stallTimeout)
		msg, err := sub.NextMsgWithContext(wait)
		cancel()
		if err != nil {
			return stalled(ctx, err, stallTimeout)
		}
		if len(msg.Data) == 0 {
			return ended(msg)
		}
		// Before the write, because the server ends the backup after two seconds without a message.
		if msg.Reply != "" {
			if err := msg.Respond(nil); err != nil {
				return err
			}
		}
		if _, err := f.Write(msg.Data); err != nil {
			return err
		}
	}
}

// ended returns an error if the last message of a backup reports a failure.
func ended(msg *nats.Msg) error {
	if status := msg.Header.Get("Status"); status != "" && status != "204" {
		return fmt.Errorf("the server ended it: %s %s: %w", status, msg.Header.Get("Description"), io.ErrUnexpectedEOF)
	}
	return nil
}
