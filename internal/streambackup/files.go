package streambackup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats-server/v2/server/archive"
)

// The files of a backup, with the names that the nats command uses.
const (
	metadataFile = "backup.json"
	archiveFile  = "stream.arc.s2"
	// oldArchiveFile is the archive of a server before 2.15.
	oldArchiveFile = "stream.tar.s2"
)

// metadata is what a server reports of the stream when a backup begins. Config keeps fields that this
// program does not know.
type metadata struct {
	Config map[string]json.RawMessage `json:"config"`
	State  struct {
		Messages uint64 `json:"messages"`
		FirstSeq uint64 `json:"first_seq"`
		LastSeq  uint64 `json:"last_seq"`
	} `json:"state"`
}

func (m metadata) stream() (name string) {
	_ = json.Unmarshal(m.Config["name"], &name) // "" where there is none
	return name
}

func readMetadata(dir string) (metadata, error) {
	var m metadata
	name := filepath.Join(dir, metadataFile)
	raw, err := os.ReadFile(name)
	if err != nil {
		return m, fmt.Errorf("%s is not a backup of a stream: %w", dir, err)
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, fmt.Errorf("%s: %w; the backup is not complete, use another one", name, err)
	}
	if m.stream() == "" {
		return m, fmt.Errorf("%s does not name a stream; the backup is not complete, use another one", name)
	}
	return m, nil
}

// Find returns the directories of the backups in dir, in the order of their names. dir may be one
// backup itself, as `nats stream backup` makes it.
func Find(dir string) ([]string, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, metadataFile)); err == nil {
		return []string{dir}, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, entry := range entries {
		// A name with a dot is that of a backup that was interrupted.
		if sub := filepath.Join(dir, entry.Name()); entry.Name()[0] != '.' && exists(filepath.Join(sub, metadataFile)) {
			found = append(found, sub)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s holds no backup: there is no file %s in it or in its directories", dir, metadataFile)
	}
	return found, nil
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// openArchive opens the archive of a backup.
func openArchive(dir string) (*os.File, error) {
	f, err := os.Open(filepath.Join(dir, archiveFile))
	if errors.Is(err, os.ErrNotExist) {
		f, err = os.Open(filepath.Join(dir, oldArchiveFile))
	}
	return f, err
}

// keepsEpoch reports that the server restores the creation time of the stream with it, as it does
// with archives of servers before 2.15. Their format decides, as it does for the server.
func keepsEpoch(archiveName string) (bool, error) {
	f, err := os.Open(archiveName)
	if err != nil {
		return false, err
	}
	defer f.Close()
	magic := make([]byte, len(archive.MagicBytes))
	if _, err := io.ReadFull(s2.NewReader(f), magic); err != nil {
		return false, fmt.Errorf("%s: %w; the backup is damaged, use another one", archiveName, err)
	}
	return string(magic) != archive.MagicBytes, nil
}

// commit syncs the files of partial to the disk, then gives the directory its name.
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
	f, err := os.OpenFile(name, os.O_RDWR, 0) // Windows syncs no file that is open for reading
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// syncDir makes the names in a directory durable, on the systems that can.
func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}
