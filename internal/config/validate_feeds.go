package config

import (
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/tidemark/tidemark/internal/subject"
)

// reserved paths are the service's own.
var reserved = []string{"/", "/console", "/client.js", "/client.d.ts", "/publish", "/healthz", "/readyz", "/metrics", "/connections", "/api/events/send-message"}

func validateFeeds(feeds map[string]Feed, p *problems) {
	owners := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(feeds)) {
		key := "feeds." + name
		if !feedName(name) {
			p.add(key, "a feed's name has 1 to 64 of the characters a-z, 0-9, '_' and '-'")
		}
		feeds[name].validate(p, key)
		for _, path := range feeds[name].Paths {
			if owner, taken := owners[path]; taken {
				p.add(key+".paths", "%s is already a path of %s", path, owner)
			}
			owners[path] = key
		}
	}
}

func feedName(name string) bool {
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '-'
	})
}

func (f Feed) validate(p *problems, key string) {
	if len(f.Paths) == 0 {
		p.add(key+".paths", "it is missing; name at least one path, such as /events")
	}
	for _, path := range f.Paths {
		checkPath(p, key+".paths", path)
	}
	checkStream(p, key+".stream", f.Stream)
	if len(f.Subjects) == 0 && len(f.Allow) == 0 {
		p.add(key+".subjects", "it is missing, and so is allow: no connection could get anything")
	}
	for _, s := range f.Subjects {
		checkSubject(p, key+".subjects", s)
	}
	for _, s := range f.Allow {
		if _, err := subject.ParseTemplate(s); err != nil {
			p.add(key+".allow", "%w", err)
		}
	}
	oneOf(p, key+".replay", string(f.Replay), string(ReplayAuto), string(ReplayConsumer))
}

// checkSubject keeps wildcards to allow: in what everybody gets, the * of
// notifications.user.* would hand each user's events to all.
func checkSubject(p *problems, key, s string) {
	t, err := subject.ParseTemplate(s)
	switch {
	case err != nil:
		p.add(key, "%w", err)
	case t.HasWildcard():
		p.add(key, "%q has a wildcard; write a variable such as {user} in its place, or move the subject to allow, where clients may ask for it", s)
	}
}

func checkPath(p *problems, key, s string) {
	odd := func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("*:{}?#%", r)
	}
	switch {
	case !strings.HasPrefix(s, "/"):
		p.add(key, "%q must begin with /", s)
	case strings.ContainsFunc(s, odd):
		p.add(key, "%q must be a plain path, without wildcards, spaces and any of * : { } ? # %%", s)
	case path.Clean(s) != s:
		p.add(key, "%q must be written as %s", s, path.Clean(s))
	case slices.Contains(reserved, s), strings.HasPrefix(s, "/connections/"), strings.HasPrefix(s, "/console/"), strings.HasPrefix(s, "/publish/"):
		p.add(key, "%s is a path of the service itself; choose another", s)
	}
}

func checkStream(p *problems, key, name string) {
	bad := func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune(`.*>/\`, r)
	}
	switch {
	case name == "":
		p.add(key, "it is missing; name the stream, such as NOTIFICATIONS")
	case strings.ContainsFunc(name, bad):
		p.add(key, `%q cannot name a stream; leave out wildcards, spaces and . / \`, name)
	}
}
