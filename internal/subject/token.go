package subject

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// SpellingError reports a token that is not what Encode makes of any value.
type SpellingError struct {
	Token string
	// Want is the token of the value that was probably meant: Token with its percent signs as escapes
	// where they can be.
	Want string
}

// Error begins with a verb, as those of CheckValue do.
func (e *SpellingError) Error() string {
	write := e.Want
	if literal := encode(e.Token); literal != e.Want { // two values, and it is not known which one is meant
		write = fmt.Sprintf("%s for the value %q or %s for the value %q", e.Want, unescape(e.Token), literal, e.Token)
	}
	return fmt.Sprintf("is not the canonical spelling of a value; write %s (only . * > %% white space and controls are encoded, in upper-case hexadecimal)", write)
}

// CheckSpelling returns why a token is not the encoding of a value: a *SpellingError where the right
// spelling is known. A token without '%' and without an encoded character is always right.
func CheckSpelling(token string) error {
	_, err := decode(token)
	return err
}

// Decode returns the value of a token that Encode made. Errors are those of CheckToken and
// CheckValue.
func Decode(token string) (string, error) {
	value, err := decode(token)
	if err != nil {
		return "", err
	}
	return value, CheckValue(value)
}

func decode(token string) (string, error) {
	switch {
	case token == "":
		return "", ErrEmpty
	case !utf8.ValidString(token):
		return "", ErrNotUTF8
	case indexEscaped(token) < 0:
		return token, nil
	}
	value := unescape(token)
	if !utf8.ValidString(value) {
		value = token // the percent signs cannot have been escapes
	}
	if want := encode(value); want != token {
		return "", &SpellingError{Token: token, Want: want}
	}
	return value, nil
}

// unescape accepts every spelling. A '%' without two hexadecimal digits stands for itself.
func unescape(token string) string {
	var out strings.Builder
	for i := 0; i < len(token); i++ {
		if token[i] == '%' && i+2 < len(token) {
			high, ok1 := digit(token[i+1])
			low, ok2 := digit(token[i+2])
			if ok1 && ok2 {
				out.WriteByte(high<<4 | low)
				i += 2
				continue
			}
		}
		out.WriteByte(token[i])
	}
	return out.String()
}

func digit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
