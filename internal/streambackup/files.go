package streambackup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats-server/v2/server/archive"
)

// The files of a backup, with the names of the nats command.
const (
	metadataFile = "backup.json"
	archiveFile  = "stream.arc.s2"
	// oldArchiveFile is the archive of a server before 2.15.
	oldArchiveFile = "stream.tar.s2"
)

// metadata is the server's description of the stream at the start of a backup. Config keeps fields unknown
// to this program.
type metadata struct {
	Config map[string]json.RawMessage `json:"config"`
	State  struct {
		Messages uint64 `json:"messages"`
		FirstSeq uint64 `json:"first_seq"`
		LastSeq  uint64 `json:"last_seq"`
	} `json:"state"`
}

func (m metadata) stream() (name string) {
	_ = json.Unmarshal(m.Config["name"], &name) // "" if there is no name
	return name
}

// maxMetadata is the maximum size of the file with the metadata.
const maxMetadata = 4 << 20

func readMetadata(dir string) (metadata, error) {
	var m metadata
	name := filepath.Join(dir, metadataFile)
	f, err := openRegular(name)
	if err != nil {
		return m, fmt.Errorf("%s is not a backup of a stream: %w", dir, err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxMetadata+1))
	switch {
	case err != nil:
		return m, fmt.Errorf("%s is not a backup of a stream: %w", dir, err)
	case len(raw) > maxMetadata:
		return m, fmt.Errorf("%s has more than %d MiB; it does not describe a stream, use another backup", name, maxMetadata>>20)
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, fmt.Errorf("%s: %w; the backup is not complete, use another one", name, err)
	}
	if m.stream() == "" {
		return m, fmt.Errorf("%s does not name a stream; the backup is not complete, use another one", name)
	}
	return m, nil
}

// expected is the remedy in errors about a directory without a backup.
const expected = "name a directory that `tidemark stream backup` wrote, or that of one stream in it, which has the files " + metadataFile + " and " + archiveFile

// Find returns the directories of the backups in dir, sorted by name. dir may also be a backup itself, as
// written by `nats stream backup`.
func Find(dir string) ([]string, error) {
	if exists(filepath.Join(dir, metadataFile)) {
		return []string{dir}, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("%s is not the directory of a backup: %w; %s", dir, withoutPath(err), expected)
	}
	var found []string
	for _, entry := range entries {
		// The name of an interrupted backup contains a dot.
		if sub := filepath.Join(dir, entry.Name()); entry.Name()[0] != '.' && exists(filepath.Join(sub, metadataFile)) {
			found = append(found, sub)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s holds no backup; %s", dir, expected)
	}
	return found, nil
}

// withoutPath removes the operation and the path, which are in the surrounding text.
func withoutPath(err error) error {
	if failed, ok := errors.AsType[*os.PathError](err); ok {
		return failed.Err
	}
	return err
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// openRegular opens a regular file. It checks the type before opening, because opening a FIFO blocks, and
// a symbolic link may point to any file of the machine.
func openRegular(name string) (*os.File, error) {
	named, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !named.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file, but %s; copy the backup again", name, kind(named.Mode()))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if opened, err := f.Stat(); err != nil || !os.SameFile(named, opened) {
		return nil, errors.Join(fmt.Errorf("%s was replaced while it was opened; try again", name), err, f.Close())
	}
	return f, nil
}

func kind(mode os.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&os.ModeSymlink != 0:
		return "a symbolic link"
	case mode&os.ModeNamedPipe != 0:
		return "a FIFO"
	case mode&os.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

// openArchive opens the archive of a backup.
func openArchive(dir string) (*os.File, error) {
	f, err := openRegular(filepath.Join(dir, archiveFile))
	if errors.Is(err, os.ErrNotExist) {
		f, err = openRegular(filepath.Join(dir, oldArchiveFile))
	}
	return f, err
}

// untilDone reads until a context ends.
type untilDone struct {
	ctx  context.Context
	from io.Reader
}

func (r untilDone) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(b)
}

// keepsEpoch reports whether the server restores the creation time of the stream, and with it the epoch.
// It does so for archives of servers before 2.15. Like the server, keepsEpoch decides by the format. It
// reads the beginning of the archive, or the whole archive if its blocks are empty.
func keepsEpoch(ctx context.Context, archiveName string) (bool, error) {
	f, err := openRegular(archiveName)
	if err != nil {
		return false, err
	}
	defer f.Close()
	magic := make([]byte, len(archive.MagicBytes))
	if _, err := io.ReadFull(s2.NewReader(untilDone{ctx, f}), magic); err != nil {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		return false, fmt.Errorf("%s: %w; the backup is damaged, use another one", archiveName, err)
	}
	return string(magic) != archive.MagicBytes, nil
}

// commit syncs the files of partial to the disk, and then renames the directory.
func commit(partial, dir string) error {
	entries, err := os.ReadDir(partial)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := syncFile(filepath.Join(partial, entry.Name())); err != nil {
			return err
		}
	}
	if err := os.Rename(partial, dir); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

func syncFile(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0) // Windows does not sync files opened for reading
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// syncDir syncs the names in a directory, on systems that support it.
func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}
