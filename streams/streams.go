// Package streams reads stream definitions from files: the built-in ones in this directory, and those of
// an operator's directory.
//
// Use [LoadDir] and [Merge] to combine both:
//
//	defs, err := streams.Builtin()
//	own, err := streams.LoadDir("streams.d")
//	defs = streams.Merge(defs, own)
//
// A file contains the output of `nats stream info --json`, or a configuration for `nats stream add
// --config`. The name of the stream is required; omitted keys have the server's default. Unknown keys are
// errors, because a misspelt limit would result in an unlimited stream.
//
// # The built-in NOTIFICATIONS
//
// The stream forbids deleting and purging messages (deny_delete, deny_purge). It removes an event from its
// middle only if the publisher set a lifetime (Nats-TTL, allow_msg_ttl). Tidemark can therefore report gaps
// exactly: events are missing only before the stream's first sequence. If messages could be deleted from
// the middle, Tidemark could only report a *possible* gap.
//
// A server does not permit a later change of these two settings. To empty the stream, lower its max_age or
// max_bytes for a while, which removes the oldest events as retention does. If single events must be
// erasable, put a file of the same name without these settings into the directory before the first start.
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

// Definition is one stream, as defined in a file.
type Definition struct {
	Name   string // the stream's name, equal to Config.Name
	Source string // the file, for messages: a path, or "built-in NAME.json"
	Config jetstream.StreamConfig
}

//go:embed *.json
var builtin embed.FS

// Builtin returns the built-in definitions of Tidemark, sorted by name.
func Builtin() ([]Definition, error) {
	return load(builtin, func(name string) string { return "built-in " + name })
}

// LoadDir reads every *.json file of a directory, without subdirectories, sorted by stream name. It
// reports the errors of all files together.
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

// Merge adds the definitions of over to base, sorted by name. A definition of over replaces one of base
// with the same name.
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
