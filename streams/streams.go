// Package streams holds stream definitions as files: the built-in ones beside this source,
// and those of a directory that an operator keeps.
//
// A file is what `nats stream info --json` prints, or the bare configuration that `nats
// stream add --config` takes. It must say the stream's name; what it leaves out has the
// server's default. Anything unknown in it is an error, so that a misspelt limit does not
// become an unlimited stream.
//
// # The built-in NOTIFICATIONS
//
// It forbids to delete and to purge (deny_delete, deny_purge), and removes an event from its
// middle only when its publisher gave it a lifetime (Nats-TTL, allow_msg_ttl). That is what makes Tidemark's word to a returning client exact: whatever
// is missing is missing at the front, and the stream's first sequence alone shows it. With
// holes in the middle all that can be said is that an event was *possibly* lost.
// A server never lifts these two again. To empty the stream all the same, lower its max_age
// or max_bytes for a while: that trims at the front, as retention does. Who must be able to
// erase single events puts a file of the same name without them into a directory before
// the first start.
//
// Its max_consumers is positive because 0 and -1 mean the server's default, which is 1000
// since nats-server 2.15.
package streams

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// Definition is one stream as a file describes it.
type Definition struct {
	Name   string // the stream's name, equal to Config.Name
	Source string // the file, for messages: a path, or "built-in NAME.json"
	Config jetstream.StreamConfig
}

//go:embed *.json
var builtin embed.FS

// Builtin returns the definitions that come with Tidemark, sorted by name.
func Builtin() ([]Definition, error) {
	return load(builtin, func(name string) string { return "built-in " + name })
}

// LoadDir reads every *.json of a directory, not of those below it, sorted by stream name.
// All files that cannot be used are reported at once.
func LoadDir(dir string) ([]Definition, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("stream definitions: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("stream definitions: %s is not a directory", dir)
	}
	return load(os.DirFS(dir), func(name string) string { return filepath.Join(dir, name) })
}

func load(fsys fs.FS, source func(name string) string) ([]Definition, error) {
	names, err := fs.Glob(fsys, "*.json")
	if err != nil {
		return nil, err
	}
	byName := make(map[string]Definition, len(names))
	var errs []error
	for _, name := range names {
		def, err := readFile(fsys, name, source(name))
		if other, taken := byName[def.Name]; err == nil && taken {
			err = fmt.Errorf("%s: name: the stream %s is already defined in %s", def.Source, def.Name, other.Source)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		byName[def.Name] = def
	}
	return sorted(byName), errors.Join(errs...)
}

func readFile(fsys fs.FS, name, source string) (Definition, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return Definition{}, err
	}
	return Parse(source, data)
}

// Merge returns base with the definitions of over in the place of those of the same name
// and beside the others, sorted by name.
func Merge(base, over []Definition) []Definition {
	byName := make(map[string]Definition, len(base)+len(over))
	for _, def := range slices.Concat(base, over) {
		byName[def.Name] = def
	}
	return sorted(byName)
}

func sorted(byName map[string]Definition) []Definition {
	return slices.SortedFunc(maps.Values(byName), func(a, b Definition) int { return cmp.Compare(a.Name, b.Name) })
}
