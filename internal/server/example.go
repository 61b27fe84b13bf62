package server

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// example is an example for the banner: a connection, and a subject that it receives.
type example struct {
	path, query string
	subject     string
}

// example returns an example for the configured feeds. It prefers, in this order: a user where ?user= is trusted,
// a subject without variables, a subject that clients may request, such a
// subject with a user where ?user= is trusted, a subject with placeholders such as USER. It
// tries the feed at /events first.
func (o *Options) example() example {
	feeds := slices.DeleteFunc(slices.Clone(o.Feeds), func(f FeedOptions) bool { return len(f.Paths) == 0 })
	slices.SortStableFunc(feeds, func(a, b FeedOptions) int {
		return cmp.Or(cmp.Compare(rankOf(a), rankOf(b)), cmp.Compare(a.Name, b.Name))
	})
	for _, choose := range []func(FeedOptions) (query, subject string){o.userExample, plainExample, requestExample, o.userRequestExample, placeholderExample} {
		for _, f := range feeds {
			if query, subject := choose(f); subject != "" {
				return example{examplePath(f), query, subject}
			}
		}
	}
	return example{path: o.eventPath(), subject: "SUBJECT"}
}

func examplePath(f FeedOptions) string {
	if slices.Contains(f.Paths, "/events") {
		return "/events"
	}
	return f.Paths[0]
}

func rankOf(f FeedOptions) int {
	if examplePath(f) == "/events" {
		return 0
	}
	return 1
}

func (o *Options) userExample(f FeedOptions) (query, subject string) {
	if !o.takesUsers() {
		return "", ""
	}
	for _, t := range f.Subjects {
		if slices.Equal(t.Variables(), []string{"user"}) && !t.HasWildcard() {
			return "?user=42", strings.ReplaceAll(t.String(), "{user}", "42")
		}
	}
	return "", ""
}

func plainExample(f FeedOptions) (query, subject string) {
	for _, t := range f.Subjects {
		if len(t.Variables()) == 0 {
			return "", t.String()
		}
	}
	return "", ""
}

// requestExample replaces wildcards by an example value.
var withoutWildcards = strings.NewReplacer("*", "example", ">", "example")

func requestExample(f FeedOptions) (query, subject string) {
	for _, t := range f.Allow {
		if len(t.Variables()) == 0 {
			subject := withoutWildcards.Replace(t.String())
			return "?subject=" + subject, subject
		}
	}
	return "", ""
}

func (o *Options) userRequestExample(f FeedOptions) (query, subject string) {
	if !o.takesUsers() {
		return "", ""
	}
	for _, t := range f.Allow {
		if slices.Equal(t.Variables(), []string{"user"}) {
			subject := withoutWildcards.Replace(strings.ReplaceAll(t.String(), "{user}", "42"))
			return "?user=42&subject=" + subject, subject
		}
	}
	return "", ""
}

var variablePattern = regexp.MustCompile(`\{[^}]*\}`)

func placeholderExample(f FeedOptions) (query, subject string) {
	for _, t := range f.Subjects {
		return "", variablePattern.ReplaceAllStringFunc(t.String(), func(v string) string { return strings.ToUpper(strings.Trim(v, "{}")) })
	}
	return "", ""
}

// plainSubjects returns the subjects that every connection of a feed receives, and whether there are others.
func (o *Options) plainSubjects() (plain []string, others bool) {
	for _, t := range o.subjects() {
		if len(t.Variables()) > 0 {
			others = true
		} else if !slices.Contains(plain, t.String()) {
			plain = append(plain, t.String())
		}
	}
	slices.Sort(plain)
	return plain, others
}
