package config_test

import (
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/config"
)

func TestWarnings_VariableOfAFeed_NoIdentityHasIt(t *testing.T) {
	with := func(subject string, change func(*config.Config)) config.Config {
		c := config.Default()
		c.Feeds = map[string]config.Feed{"news": {Stream: "N", Subjects: []string{"n.all"}, Allow: []string{subject}}}
		change(&c)
		return c
	}
	sources := func(names ...string) func(*config.Config) {
		return func(c *config.Config) {
			c.Auth.Identity = names
			c.Auth.JWT.Claims = []string{"user=sub", "city=address.city"}
			c.Auth.Header.Vars = []string{"team=X-Team"}
		}
	}
	for name, c := range map[string]struct {
		config config.Config
		says   []string // none for no warning
	}{
		"the default":              {config.Default(), nil},
		"no identity, the user":    {with("n.user.{user}", sources()), nil},
		"no identity, misspelt":    {with("n.user.{usr}", sources()), []string{"feeds.news.allow", "n.user.{usr}", "did you mean {user}?", "auth.identity"}},
		"dev, another variable":    {with("n.city.{city}", sources("dev")), []string{"{city}", "they have {user}", "auth.identity"}},
		"jwt, its user":            {with("n.user.{user}", sources("jwt")), nil},
		"jwt, its claim":           {with("n.city.{city}.{user}", sources("jwt")), nil},
		"jwt, misspelt":            {with("n.city.{ctiy}", sources("jwt")), []string{"did you mean {city}?", "auth.jwt.claims to ctiy=CLAIM"}},
		"jwt, of the header":       {with("n.team.{team}", sources("jwt", "anonymous")), []string{"auth.jwt.claims to team=CLAIM"}},
		"header, its variable":     {with("n.team.{team}.{user}", sources("header")), nil},
		"header, of the token":     {with("n.city.{city}", sources("header")), []string{"auth.header.vars to city=HEADER"}},
		"both":                     {with("n.{city}.{team}.{user}", sources("jwt", "header")), nil},
		"both, misspelt":           {with("n.{town}", sources("jwt", "header")), []string{"auth.jwt.claims to town=CLAIM or auth.header.vars to town=HEADER"}},
		"claims without the user":  {with("n.user.{user}", func(c *config.Config) { c.Auth.Identity, c.Auth.JWT.Claims = []string{"jwt"}, []string{"id=sub"} }), []string{"{user}", "auth.jwt.claims"}},
		"anonymous, without users": {with("n.user.{user}", sources("anonymous")), nil},
	} {
		got := c.config.Warnings()
		if (len(got) > 0) != (len(c.says) > 0) {
			t.Errorf("%s: %q", name, got)
		}
		for _, word := range c.says {
			if !strings.Contains(strings.Join(got, "\n"), word) {
				t.Errorf("%s: %q does not contain %q", name, got, word)
			}
		}
	}
}
