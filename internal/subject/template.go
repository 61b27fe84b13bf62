package subject

import (
	"fmt"
	"strings"
)

// Template is a subject with variables for whole tokens, such as `notifications.user.{user}`. The zero
// Template expands to nothing.
type Template struct {
	text   string
	tokens []templateToken
}

type templateToken struct {
	text     string
	variable bool
}

// ParseTemplate parses a template. A variable is a whole token, `{name}`, with a name of letters, digits,
// '_' and '-'. Wildcards are permitted as in a filter.
func ParseTemplate(text string) (Template, error) {
	t := Template{text: text}
	plain := make([]string, 0, 4)
	for tok := range strings.SplitSeq(text, ".") {
		name, isVar, err := parseVariable(tok)
		if err != nil {
			return Template{}, fmt.Errorf("template %q: %w", text, err)
		}
		if isVar {
			t.tokens, plain = append(t.tokens, templateToken{name, true}), append(plain, "x")
			continue
		}
		t.tokens, plain = append(t.tokens, templateToken{tok, false}), append(plain, tok)
	}
	if err := CheckFilter(strings.Join(plain, ".")); err != nil {
		return Template{}, fmt.Errorf("template %q: %w", text, err)
	}
	return t, nil
}

func parseVariable(tok string) (name string, isVar bool, err error) {
	if !strings.ContainsAny(tok, "{}") {
		return "", false, nil
	}
	name, opened := strings.CutPrefix(tok, "{")
	name, closed := strings.CutSuffix(name, "}")
	if !opened || !closed || name == "" || strings.ContainsFunc(name, notNameRune) {
		return "", false, fmt.Errorf("token %q: a variable is a whole token such as {user}, of letters, digits, '_' and '-'", tok)
	}
	return name, true, nil
}

func notNameRune(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
}

// String returns the text of the template.
func (t Template) String() string { return t.text }

// HasWildcard reports whether the template expands to more than one subject.
func (t Template) HasWildcard() bool {
	for _, tok := range t.tokens {
		if !tok.variable && (tok.text == "*" || tok.text == ">") {
			return true
		}
	}
	return false
}

// Expand replaces the variables by values, each encoded as one token. A value therefore cannot widen a
// filter.
//
// ok is false if a variable has no value (or the empty string); then the template is omitted. A value with
// more than 255 bytes, or with invalid UTF-8, is an error.
func (t Template) Expand(vars map[string]string) (filter string, ok bool, err error) {
	if len(t.tokens) == 0 {
		return "", false, nil
	}
	var most [8]string // enough for most templates
	out := most[:0]
	for _, tok := range t.tokens {
		if !tok.variable {
			out = append(out, tok.text)
			continue
		}
		value := vars[tok.text]
		if value == "" {
			return "", false, nil
		}
		encoded, err := Encode(value)
		if err != nil {
			return "", false, fmt.Errorf("the value of {%s} %w", tok.text, err)
		}
		out = append(out, encoded)
	}
	filter = strings.Join(out, ".")
	if err := CheckFilter(filter); err != nil {
		return "", false, fmt.Errorf("template %q: %w", t.text, err)
	}
	return filter, true, nil
}

// Variables returns the names of the variables in their order.
func (t Template) Variables() []string {
	var names []string
	for _, tok := range t.tokens {
		if tok.variable {
			names = append(names, tok.text)
		}
	}
	return names
}

// Match reports whether a subject matches the template for some values of its variables. Wildcards of the
// template match as in a filter. Match does not allocate for plain subjects.
func (t Template) Match(s string) bool {
	more := len(t.tokens) > 0
	for _, tok := range t.tokens {
		if !more {
			return false
		}
		if tok.text == ">" && !tok.variable {
			return s != ""
		}
		var have string
		have, s, more = strings.Cut(s, ".")
		if !tok.match(have) {
			return false
		}
	}
	return len(t.tokens) > 0 && !more
}

func (t templateToken) match(have string) bool {
	if t.variable {
		_, err := Decode(have)
		return err == nil
	}
	return t.text == have || t.text == "*" && have != ""
}

// Filter returns the filter for all expansions of the template.
func (t Template) Filter() string {
	tokens := make([]string, len(t.tokens))
	for i, tok := range t.tokens {
		tokens[i] = tok.text
		if tok.variable {
			tokens[i] = "*"
		}
	}
	return strings.Join(tokens, ".")
}

// EncodeLast encodes the rest of s, from the template's last token on, as one value. Use it for a user's
// id with dots.
//
// ok is false if s already is the result, if the result does not match the template, or if s contains '%',
// as parts may be encoded.
func (t Template) EncodeLast(s string) (encoded string, ok bool) {
	if len(t.tokens) == 0 {
		return "", false
	}
	tokens := strings.SplitN(s, ".", len(t.tokens))
	last := len(tokens) - 1
	value, err := Encode(tokens[last])
	if err != nil || strings.Contains(tokens[last], "%") {
		return "", false
	}
	tokens[last] = value
	encoded = strings.Join(tokens, ".")
	return encoded, encoded != s && !t.HasWildcard() && t.Match(encoded)
}
