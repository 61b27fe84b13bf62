// Package subject encodes values, such as a user's id, as single tokens of NATS subjects.
//
// A value is any text: an e-mail address, a distinguished name, a URI. A token of a subject may
// hold neither dots nor wildcards nor white space. [Encode] percent-encodes exactly those
// characters, and '%' itself, so that most ids stay as they are:
//
//	alice.b@example.com  ->  alice%2Eb@example%2Ecom
//	42                   ->  42
//
// Guarantees:
//   - An encoded value is one token of a subject without a wildcard: a value can never widen
//     a filter or reach another subject.
//   - Two different values have different tokens, and [Decode] returns the value of a token.
//   - A value has one token. Decode and [CheckSpelling] refuse every other spelling, such as %2e
//     or %40, because a subject of that spelling would reach no client.
//
// # The encoding
//
// The characters below become their bytes in UTF-8, each as '%' and two upper-case hexadecimal
// digits. All other characters, beyond ASCII too, are copied. Nothing is normalised.
//
//	. * > %
//	white space: U+0009 to U+000D, U+0020, U+0085, U+00A0, U+1680, U+2000 to U+200A,
//	             U+2028, U+2029, U+202F, U+205F, U+3000
//	controls:    U+0000 to U+001F, U+007F to U+009F
//	U+FEFF
//
// The list is fixed. It does not follow later versions of Unicode, because producers in other
// languages must compute the same tokens.
package subject

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits, in bytes.
const (
	// MaxValueLen is the maximum length of a value.
	MaxValueLen = 255
	// MaxLen is the maximum length of a subject and a filter. An encoded value has up to three times the
	// bytes of the value.
	MaxLen = 1024
)

// Errors of CheckValue and Encode. They begin with a verb; put the name of the value before them.
var (
	ErrEmpty   = errors.New("is empty")
	ErrTooLong = fmt.Errorf("is longer than %d bytes", MaxValueLen)
	ErrNotUTF8 = errors.New("is not valid UTF-8")
)

// CheckValue returns an error if a value cannot be encoded. A value has 1 to MaxValueLen bytes of valid
// UTF-8.
func CheckValue(value string) error {
	switch {
	case value == "":
		return ErrEmpty
	case len(value) > MaxValueLen:
		return ErrTooLong
	case !utf8.ValidString(value):
		return ErrNotUTF8
	}
	return nil
}

// Encode returns the token of a value. It does not allocate if they are the same. Its errors are those of
// CheckValue.
func Encode(value string) (string, error) {
	if err := CheckValue(value); err != nil {
		return "", err
	}
	return encode(value), nil
}

// encode requires valid UTF-8.
func encode(value string) string {
	first := indexEscaped(value)
	if first < 0 {
		return value
	}
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, len(value)+16)
	out = append(out, value[:first]...)
	for i, r := range value[first:] {
		char := value[first+i : first+i+utf8.RuneLen(r)]
		if !escaped(r) {
			out = append(out, char...)
			continue
		}
		for _, b := range []byte(char) {
			out = append(out, '%', hex[b>>4], hex[b&0xf])
		}
	}
	return string(out)
}

// indexEscaped returns the index of the first escaped character, or -1. Nearly all values are short ASCII
// texts, for which strings.IndexFunc takes three times as long.
func indexEscaped(s string) int {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return strings.IndexFunc(s, escaped)
		}
		if escaped(rune(s[i])) {
			return i
		}
	}
	return -1
}

// escaped reports whether a character is percent-encoded.
func escaped(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return r <= ' ' || r == 0x7f || r == '.' || r == '*' || r == '>' || r == '%'
	case r <= 0xa0: // C1 controls, NEL and the no-break space
		return true
	}
	return r == 0x1680 || r >= 0x2000 && r <= 0x200a || r == 0x2028 || r == 0x2029 ||
		r == 0x202f || r == 0x205f || r == 0x3000 || r == 0xfeff
}
