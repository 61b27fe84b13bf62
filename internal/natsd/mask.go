package natsd

import (
	"errors"
	"regexp"
	"strings"
)

// masked replaces possible secrets.
const masked = "REDACTED"

// The errors of nats-server that contain values of the file. Any value may be a secret: the error may be
// about a password in the wrong place.
var (
	gotValue   = regexp.MustCompile(`(?m), got .*$`)
	urlLogin   = regexp.MustCompile(`://.*@`)
	seed       = regexp.MustCompile(`not a valid seed: .*`)
	parsing    = regexp.MustCompile(`parsing ".*"`)
	noVariable = regexp.MustCompile(`variable reference for '([^']*)'`)
	// variable matches names of environment variables. Another name may be a password or a hash that
	// begins with $.
	variable = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)
)

// maskError returns err without the values of secret directives, and without values of a wrong type.
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
		return "a value that begins with $ is a variable name; quote it if it is a plain value: variable reference"
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

// minMasked is the minimum length of a masked value. Masking short values would make errors unreadable,
// because ordinary words contain them.
const minMasked = 4
