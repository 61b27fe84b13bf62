package natsd

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/conf"
	"github.com/nats-io/nats-server/v2/server"
)

// configFile is a parsed configuration file of nats-server.
type configFile struct {
	name       string // empty without a file
	options    *server.Options
	directives []directive
	warnings   []error
}

// directive is one setting of the file, with its location.
type directive struct {
	path  string // in lower case, such as jetstream.store_dir; without indexes of lists
	value any    // of a scalar; nil for blocks and lists
	file  string // the file itself or an included file
	line  int
}

func (d directive) at() string { return fmt.Sprintf("%s:%d", d.file, d.line) }

// has reports whether the file has a directive with this path.
func (f *configFile) has(path string) bool {
	return slices.ContainsFunc(f.directives, func(d directive) bool { return d.path == path })
}

// readConfigFile reads a configuration file. Without a name it returns empty options. Errors contain the
// key, and the file and line if nats-server's parser reports them.
func readConfigFile(name string) (*configFile, error) {
	f := &configFile{name: name, options: new(server.Options)}
	if name == "" {
		return f, nil
	}
	if _, err := os.ReadFile(name); err != nil {
		return nil, fmt.Errorf("nats.embedded.config: %w", err)
	}
	tree, err := conf.ParseFileWithChecks(name)
	if err != nil {
		return nil, fmt.Errorf("nats.embedded.config: %w", f.maskError(withFile(name, err)))
	}
	f.collect("", tree)
	var found interface{ Errors() []error }
	var noted interface{ Warnings() []error }
	err = f.options.ProcessConfigFile(name)
	if errors.As(err, &noted) { // ProcessConfigFile also returns an error if there are only warnings
		f.warnings = noted.Warnings()
	}
	switch {
	case errors.As(err, &found):
		err = joinSorted(found.Errors())
	case err != nil:
		err = withFile(name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("nats.embedded.config: %w", f.maskError(err))
	}
	// With a file name, the server would reload the file on a request to the system account, without the
	// overrides of this package.
	f.options.ConfigFile = ""
	return f, nil
}

var onLine = regexp.MustCompile(`^Parse error on line (\d+): `)

// withFile adds the file name to an error that contains only the line.
func withFile(name string, err error) error {
	text := err.Error()
	if m := onLine.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("%s:%s: %s", name, m[1], strings.TrimPrefix(text, m[0]))
	}
	if strings.Contains(text, name) {
		return err
	}
	return fmt.Errorf("%s: %w", name, err)
}

// joinSorted joins errors in a stable order. nats-server returns them in the order of a map.
func joinSorted(errs []error) error {
	errs = slices.Clone(errs)
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// collect lists the directives in the parser's tree. The values are tokens with a location.
func (f *configFile) collect(path string, value any) {
	d := directive{path: path, file: f.name}
	if token, ok := value.(interface {
		Value() any
		Line() int
		SourceFile() string
	}); ok {
		value, d.line = token.Value(), token.Line()
		if token.SourceFile() != "" {
			d.file = token.SourceFile()
		}
	}
	switch v := value.(type) {
	case map[string]any:
		for name, sub := range v {
			f.collect(strings.TrimPrefix(path+"."+strings.ToLower(name), "."), sub)
		}
	case []any:
		for _, item := range v {
			f.collect(path, item)
		}
	default:
		d.value = v
	}
	if path != "" {
		f.directives = append(f.directives, d)
	}
}
