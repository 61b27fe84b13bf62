package server

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
)

// LogUsers say how users are written to the log.
type LogUsers struct {
	// Mode is plain (also when empty), hash, or off.
	Mode string
	// Key is that of hash (HMAC-SHA256): 16 bytes at least. One is made when it is empty; then
	// hashes match within one run of the process alone.
	Key []byte
	// Subjects are templates with {user}, such as notifications.user.{user}: what stands there
	// is a user's name wherever such a subject is part of a line.
	Subjects []string
}

// leastUsersKey is in bytes. Names are guessed easily; the key must not be.
const leastUsersKey = 16

// Logger returns logger with users written as Mode says: the field "user", and subjects
// within any text.
func (o LogUsers) Logger(logger *slog.Logger) (*slog.Logger, error) {
	h := usersHandler{Handler: logger.Handler(), hidden: &hidden{}}
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
		return nil, fmt.Errorf("log.users: %q is none of plain, hash, off", o.Mode)
	}
	for _, subject := range o.Subjects {
		if strings.Contains(subject, "{user}") {
			// Errors quote subjects; a field holds one as it is.
			h.subjects = append(h.subjects, subjectPattern(subject, "^", `[^.]`, "$"), subjectPattern(subject, "", `(?:[^\s."\\]|\\.)`, ""))
		}
	}
	return slog.New(h), nil
}

// subjectPattern finds subjects of a template, of which char is a character; its groups are users.
func subjectPattern(template, begin, char, end string) *regexp.Regexp {
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
	return regexp.MustCompile(begin + strings.Join(tokens, `\.`) + end)
}

// hidden is what stands in the place of users.
type hidden struct {
	key      []byte // nil writes nobody
	subjects []*regexp.Regexp
}

// name is 64 bits of the hash: among a million users two are the same once in 37 million times.
func (h *hidden) name(user string) string {
	if h.key == nil {
		return "*"
	}
	mac := hmac.New(sha256.New, h.key)
	mac.Write([]byte(user))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// text finds all names before it replaces any: what one template finds would be found, and
// hashed again, by another.
func (h *hidden) text(text string) string {
	var names [][]int
	for _, pattern := range h.subjects {
		for _, match := range pattern.FindAllStringSubmatchIndex(text, -1) {
			for group := match[2:]; len(group) > 0; group = group[2:] {
				names = append(names, group[:2])
			}
		}
	}
	if len(names) == 0 {
		return text
	}
	slices.SortFunc(names, func(a, b []int) int { return cmp.Or(a[0]-b[0], b[1]-a[1]) }) // the longer one first
	var out strings.Builder
	done := 0
	for _, name := range names {
		if name[0] >= done {
			out.WriteString(text[done:name[0]])
			out.WriteString(h.name(text[name[0]:name[1]]))
			done = name[1]
		}
	}
	out.WriteString(text[done:])
	return out.String()
}

func (h *hidden) attr(a slog.Attr) slog.Attr {
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

// any leaves alone what holds no user, so that it is written as ever.
func (h *hidden) any(key string, value slog.Value) slog.Attr {
	text := fmt.Sprintf("%+v", value.Any())
	if clean := h.text(text); clean != text {
		return slog.String(key, clean)
	}
	return slog.Attr{Key: key, Value: value}
}

func (h *hidden) attrs(attrs []slog.Attr) []slog.Attr {
	clean := make([]slog.Attr, 0, len(attrs))
	for _, a := range attrs {
		if a = h.attr(a); !a.Equal(slog.Attr{}) {
			clean = append(clean, a)
		}
	}
	return clean
}

// usersHandler passes on what hidden leaves. It lies outside of all other handlers, so that no
// part of the process writes around it.
type usersHandler struct {
	slog.Handler
	*hidden
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
	return usersHandler{h.Handler.WithAttrs(h.attrs(attrs)), h.hidden}
}

func (h usersHandler) WithGroup(name string) slog.Handler {
	return usersHandler{h.Handler.WithGroup(name), h.hidden}
}
