package logging

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/tidemark/tidemark/internal/subject"
)

// Users configure how users are written to the log.
type Users struct {
	// Mode is plain (also when empty), hash, or off.
	Mode string
	// Key is that of hash (HMAC-SHA256): 16 bytes at least. A random key is used when it is empty; then
	// hashes match within one run of the process alone.
	Key []byte
	// Subjects are templates with {user}, such as notifications.user.{user}. The token there is
	// a user's name wherever such a subject is part of a line.
	Subjects []string
}

// leastUsersKey is in bytes. Names are guessed easily; the key must not be.
const leastUsersKey = 16

// Redact returns logger with users written in the form of Mode: the field "user", and subjects
// within any text.
func (o Users) Redact(logger *slog.Logger) (*slog.Logger, error) {
	h := usersHandler{Handler: logger.Handler(), userRedactor: &userRedactor{}}
	switch o.Mode {
	case "", "plain":
		return logger, nil
	case "off":
	case "hash":
		if h.key = o.Key; len(h.key) == 0 {
			h.key = make([]byte, sha256.Size)
			_, _ = rand.Read(h.key) // never fails
		}
		if len(h.key) < leastUsersKey {
			return nil, fmt.Errorf("log.users_key: the file holds %d bytes; at least %d are needed, such as `head -c 32 /dev/urandom | base64`", len(h.key), leastUsersKey)
		}
	default:
		return nil, fmt.Errorf("log.users: %q is not one of plain, hash, off", o.Mode)
	}
	for _, template := range o.Subjects {
		if strings.Contains(template, "{user}") {
			h.subjects = append(h.subjects, newUserSubject(template))
		}
	}
	return slog.New(h), nil
}

// userSubject finds users in the subjects of one template.
type userSubject struct {
	// exact matches a whole subject; its groups are the tokens of users.
	exact *regexp.Regexp
	// within finds the start of such a subject in a text. Its group is all of the subject from the
	// user on. Errors quote subjects, so that a backslash has the next character with it.
	within *regexp.Regexp
}

func newUserSubject(template string) userSubject {
	const quoted = `(?:[^\s."\\]|\\.)`
	exact := regexp.MustCompile("^" + tokenPatterns(template, `[^.]`) + "$")
	before, _, _ := strings.Cut(template, "{user}")
	if !strings.ContainsFunc(before, unicode.IsLetter) || strings.HasPrefix(before, "{") {
		// Without a literal token in front, most of a text would look like the start of a subject.
		return userSubject{exact, regexp.MustCompile(tokenPatterns(template, quoted))}
	}
	return userSubject{exact, regexp.MustCompile(tokenPatterns(before, quoted) + "((?:" + quoted + `|\.)*` + quoted + ")")}
}

// tokenPatterns matches the subjects of a template, of whose tokens char is a character.
func tokenPatterns(template, char string) string {
	tokens := strings.Split(template, ".")
	for i, token := range tokens {
		switch {
		case token == "{user}":
			tokens[i] = "(" + char + "+)"
		case token == ">":
			tokens[i] = "(?:" + char + `|\.)+`
		case token == "*", strings.HasPrefix(token, "{"):
			tokens[i] = char + "+"
		default:
			tokens[i] = regexp.QuoteMeta(token)
		}
	}
	return strings.Join(tokens, `\.`)
}

// userRedactor replaces users by hashes or by *.
type userRedactor struct {
	key      []byte // nil replaces each user by *
	subjects []userSubject
}

// name is 64 bits of the hash: among a million users two are the same once in 37 million times.
func (h *userRedactor) name(user string) string {
	if h.key == nil {
		return "*"
	}
	mac := hmac.New(sha256.New, h.key)
	mac.Write([]byte(user))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// token is name for a user as a subject has it: the same user is written alike everywhere.
func (h *userRedactor) token(token string) string {
	if user, err := subject.Decode(token); err == nil {
		return h.name(user)
	}
	return h.name(token)
}

// text hides the users in all subjects within a text. A match of one template is not searched
// again for another: its hash would be hashed.
func (h *userRedactor) text(text string) string {
	if whole, ok := h.exactSubject(text); ok {
		return whole
	}
	var out strings.Builder
	for {
		start, user, end := h.find(text)
		if start < 0 {
			out.WriteString(text)
			return out.String()
		}
		out.WriteString(text[:start])
		out.WriteString(h.subject(text[start:end], user-start))
		text = text[end:]
	}
}

// find returns where the first subject with a user begins and ends, and where its user begins;
// -1 for none. Of several templates with the same beginning, all find the same.
func (h *userRedactor) find(text string) (start, user, end int) {
	start = -1
	for _, s := range h.subjects {
		if at := s.within.FindStringSubmatchIndex(text); at != nil && (start < 0 || at[0] < start || at[0] == start && at[1] > end) {
			start, user, end = at[0], at[2], at[1]
		}
	}
	return start, user, end
}

// subject hides the users of one subject. Where it matches no template to its end, all of it
// from user on is hidden: it may be a user whose dots the publisher has not encoded.
func (h *userRedactor) subject(s string, user int) string {
	if unquoted, err := strconv.Unquote(`"` + s + `"`); err == nil {
		if clean, ok := h.exactSubject(unquoted); ok {
			return clean
		}
	}
	if clean, ok := h.exactSubject(s); ok {
		return clean
	}
	return s[:user] + h.name(s[user:])
}

func (h *userRedactor) exactSubject(s string) (string, bool) {
	for _, template := range h.subjects {
		groups := template.exact.FindStringSubmatchIndex(s)
		if groups == nil {
			continue
		}
		var out strings.Builder
		done := 0
		for at := groups[2:]; len(at) > 0; at = at[2:] {
			out.WriteString(s[done:at[0]])
			out.WriteString(h.token(s[at[0]:at[1]]))
			done = at[1]
		}
		out.WriteString(s[done:])
		return out.String(), true
	}
	return s, false
}

func (h *userRedactor) attr(a slog.Attr) slog.Attr {
	value := a.Value.Resolve()
	switch {
	case value.Kind() == slog.KindGroup:
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(h.attrs(value.Group())...)}
	case a.Key == "user" && h.key == nil:
		return slog.Attr{} // is left out
	case a.Key == "user":
		if user := value.String(); user != "" {
			return slog.String(a.Key, h.name(user))
		}
	case value.Kind() == slog.KindString:
		return slog.String(a.Key, h.text(value.String()))
	case value.Kind() == slog.KindAny:
		return h.any(a.Key, value)
	}
	return a
}

// any does not change a value without a user, so that its type is kept.
func (h *userRedactor) any(key string, value slog.Value) slog.Attr {
	text := fmt.Sprintf("%+v", value.Any())
	if clean := h.text(text); clean != text {
		return slog.String(key, clean)
	}
	return slog.Attr{Key: key, Value: value}
}

func (h *userRedactor) attrs(attrs []slog.Attr) []slog.Attr {
	clean := make([]slog.Attr, 0, len(attrs))
	for _, a := range attrs {
		if a = h.attr(a); !a.Equal(slog.Attr{}) {
			clean = append(clean, a)
		}
	}
	return clean
}

// usersHandler passes records on without users. It wraps all other handlers, so that no part of the
// process writes past it.
type usersHandler struct {
	slog.Handler
	*userRedactor
}

func (h usersHandler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, h.text(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.attrs([]slog.Attr{a})...)
		return true
	})
	return h.Handler.Handle(ctx, clean)
}

func (h usersHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return usersHandler{h.Handler.WithAttrs(h.attrs(attrs)), h.userRedactor}
}

func (h usersHandler) WithGroup(name string) slog.Handler {
	return usersHandler{h.Handler.WithGroup(name), h.userRedactor}
}
