package subject

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Check returns an error if s cannot be published to: a subject is plain tokens joined by dots.
func Check(s string) error {
	if err := CheckFilter(s); err != nil {
		return err
	}
	for tok := range strings.SplitSeq(s, ".") {
		if tok == "*" || tok == ">" {
			return fmt.Errorf("%q has a wildcard; name one subject", s)
		}
	}
	return nil
}

// CheckFilter returns an error if s is not a filter. A filter consists of tokens joined by dots. `*`
// matches any one token, and `>`, only at the end, one or more tokens.
func CheckFilter(s string) error {
	if s == "" || len(s) > MaxLen {
		return fmt.Errorf("a subject has 1 to %d bytes, this one has %d", MaxLen, len(s))
	}
	for n, rest, more := 1, s, true; more; n++ {
		var tok string
		tok, rest, more = strings.Cut(rest, ".")
		if tok == "*" || tok == ">" && !more {
			continue
		}
		if err := CheckToken(tok); err != nil {
			return fmt.Errorf("token %d of %q %w", n, s, err)
		}
	}
	return nil
}

// CheckToken returns an error if s cannot be one token of a subject. An accepted token cannot widen a
// filter. If s is an encoded value (see [Template.Expand]) with another than the canonical spelling, the
// error is a *SpellingError, because a subject of that spelling reaches no client.
func CheckToken(s string) error {
	switch {
	case s != "" && len(s) <= MaxLen && plain(s): // the most frequent case
		return nil
	case s == "":
		return ErrEmpty
	case len(s) > MaxLen:
		return fmt.Errorf("is longer than %d bytes", MaxLen)
	case strings.ContainsAny(s, ".*>"):
		return fmt.Errorf("may not contain '.', '*' or '>'")
	case !Printable(s) || strings.ContainsFunc(s, unicode.IsSpace):
		return fmt.Errorf("may not contain spaces or control characters, and must be UTF-8")
	}
	return CheckSpelling(s)
}

// plain reports whether s consists of visible ASCII characters without a meaning in a subject or an
// encoding.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '.' || c == '*' || c == '>' || c == '%' {
			return false
		}
	}
	return true
}

// Printable reports whether s is UTF-8 without control characters, line separators and byte order marks.
func Printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == '\ufeff'
	})
}

// Matches reports whether a concrete subject matches a filter.
func Matches(filter, subject string) bool { return Subset(subject, filter) }

// Subset reports whether all subjects matched by inner are matched by outer.
func Subset(inner, outer string) bool {
	for {
		in, inRest, inMore := strings.Cut(inner, ".")
		out, outRest, outMore := strings.Cut(outer, ".")
		switch {
		case out == ">":
			return true
		case in == ">" || out != "*" && in != out:
			return false
		case !inMore || !outMore:
			return inMore == outMore
		}
		inner, outer = inRest, outRest
	}
}

// MergeFilters removes duplicates and covered filters, and sorts the rest. JetStream rejects consumers
// whose filters overlap in this way.
func MergeFilters(filters []string) []string {
	all := slices.Clone(filters)
	slices.Sort(all)
	all = slices.Compact(all)
	covered := func(f string) bool {
		return slices.ContainsFunc(all, func(g string) bool { return f != g && Subset(f, g) })
	}
	if !slices.ContainsFunc(all, covered) {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), covered)
}
