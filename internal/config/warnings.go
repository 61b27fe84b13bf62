package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidemark/tidemark/internal/subject"
)

// Warnings returns what is valid and has no effect as it is, each with the key to change: feeds with
// variables that no identity has.
func (c Config) Warnings() (all []string) {
	known := c.variables()
	for _, name := range slices.Sorted(maps.Keys(c.Feeds)) {
		f := c.Feeds[name]
		for _, part := range []struct {
			key       string
			templates []string
		}{{"subjects", f.Subjects}, {"allow", f.Allow}} {
			for _, text := range part.templates {
				t, err := subject.ParseTemplate(text)
				if err != nil {
					continue // validation reports it
				}
				for _, variable := range t.Variables() {
					if !slices.Contains(known, variable) {
						all = append(all, fmt.Sprintf("feeds.%s.%s: %q has no effect: no identity has the variable {%s}%s", name, part.key, text, variable, c.fill(variable, known)))
					}
				}
			}
		}
	}
	return all
}

// variables are those that identities can have.
func (c Config) variables() (all []string) {
	if c.hasSource("jwt") {
		all = slices.AppendSeq(all, maps.Keys(Pairs(c.Auth.JWT.Claims)))
	}
	if c.hasSource("header") {
		all = slices.AppendSeq(all, maps.Keys(Pairs(c.Auth.Header.Vars)))
	}
	// Without sources that have users, {user} waits for them.
	if !c.hasSource("jwt") || c.hasSource("header") || c.hasSource("dev") {
		all = append(all, "user")
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// fill names the keys that fill a variable.
func (c Config) fill(variable string, known []string) string {
	var keys []string
	if c.hasSource("jwt") {
		keys = append(keys, fmt.Sprintf("auth.jwt.claims to %s=CLAIM", variable))
	}
	if c.hasSource("header") {
		keys = append(keys, fmt.Sprintf("auth.header.vars to %s=HEADER", variable))
	}
	if len(keys) == 0 {
		keys = append(keys, "auth.identity to jwt or header, which can have it")
	}
	has := make([]string, len(known))
	for i, name := range known {
		has[i] = "{" + name + "}"
	}
	guess := ""
	for _, name := range known {
		if distance(name, variable) <= min(2, len(variable)-1) {
			guess = fmt.Sprintf("; did you mean {%s}?", name)
		}
	}
	if guess == "" {
		guess = ";"
	}
	return fmt.Sprintf(" (they have %s)%s correct it, or set %s", strings.Join(has, ", "), guess, strings.Join(keys, " or "))
}
