package natsd

import (
	"errors"
	"regexp"
	"strings"
)

// masked stands in the place of what may be a secret.
const masked = "REDACTED"

// The errors of nats-server that repeat values of the file. A value may be a secret wherever it stands:
// an error about its place is one about a password that was written in the wrong place.
var (
	gotValue   = regexp.MustCompile(`(?m), got .*$`)
	urlLogin   = regexp.MustCompile(`://.*@`)
	seed       = regexp.MustCompile(`not a valid seed: .*`)
	parsing    = regexp.MustCompile(`parsing ".*"`)
	noVariable = regexp.MustCompile(`variable reference for '([^']*)'`)
	// variable is how names of environment variables are written. Another one may be a password in plain
	// text, or a hash, that begins with $.
	variable = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)
)

// maskError returns err without the values of secret directives, and without all values that it reports as
// of a wrong kind.
func (f *configFile) maskError(err error) error {
	if err == nil {
		return nil
	}
	text := urlLogin.ReplaceAllString(err.Error(), "://"+masked+"@")
	text = gotValue.ReplaceAllString(text, ", got another value")
	text = seed.ReplaceAllString(text, "not a valid seed")
	text = parsing.ReplaceAllString(text, "parsing a value")
	text = noVariable.ReplaceAllStringFunc(text, func(found string) string {
		if name := noVariable.FindStringSubmatch(found)[1]; variable.MatchString(name) {
			return found
		}
		return "a value that begins with $ is the name of a variable, and needs quotes if it is none: variable reference"
	})
	for _, d := range f.directives {
		value, ok := d.value.(string)
		if name := d.path[strings.LastIndexByte(d.path, '.')+1:]; ok && len(value) >= minMasked && secretName(name) {
			text = strings.ReplaceAll(text, value, masked)
		}
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

// minMasked keeps short values, which words of an error have too, from making it unreadable.
const minMasked = 4
