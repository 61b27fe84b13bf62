package subject_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/subject"
)

func TestTemplate(t *testing.T) {
	vars := map[string]string{"user": "42", "city": "paris", "dot": "a.b", "star": "*", "gt": ">", "space": "a b", "nl": "a\n", "percent": "%2E",
		"long": strings.Repeat("a", 256), "bytes": "a\xff"}
	for text, want := range map[string]string{
		"notifications.broadcast":    "notifications.broadcast",
		"notifications.user.{user}":  "notifications.user.42",
		"n.{city}.{user}.>":          "n.paris.42.>",
		"notifications.user.{other}": "",
		"n.{dot}.{star}.{gt}.x":      "n.a%2Eb.%2A.%3E.x",
		"n.{space}.{nl}.{percent}":   "n.a%20b.a%0A.%252E",
	} {
		tmpl, err := subject.ParseTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		got, ok, err := tmpl.Expand(vars)
		if err != nil || got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v, %v", text, got, ok, err)
		}
	}
	for _, name := range []string{"long", "bytes"} {
		tmpl, _ := subject.ParseTemplate("n.{" + name + "}")
		if got, ok, err := tmpl.Expand(vars); err == nil || ok {
			t.Errorf("the value %q expands to %q", vars[name], got)
		}
	}
	for _, text := range []string{"", "a..b", "a.{", "a.}", "a.{}", "a.x{user}", "a.{user}x", "a.{us er}", "a.{{user}}", "a.>.{user}", "a.{user}.>.b"} {
		if _, err := subject.ParseTemplate(text); err == nil {
			t.Errorf("template %q is taken", text)
		}
	}
}

func TestTemplateMatch_Subject_OnlyCanonicalValues(t *testing.T) {
	for text, subjects := range map[string]map[string]bool{
		"n.user.{user}": {"n.user.42": true, "n.user.a%2Eb@c": true, "n.user.%25": true, "n.user.ü": true,
			"n.user.a%2eb": false, "n.user.a%40b": false, "n.user.100%": false, "n.user.a.b": false, "n.user": false, "n.user.": false, "n.users.42": false,
			"n.user." + strings.Repeat("a", 255): true, "n.user." + strings.Repeat("a", 256): false, "n.user.a\xff": false},
		"n.topic.>":       {"n.topic.a": true, "n.topic.a.b": true, "n.topic.100%": true, "n.topic": false, "n.topic.": false},
		"n.*.{user}.>":    {"n.a.b.c": true, "n.a.b": false, "n.a.%2e.c": false, "n..b.c": false},
		"n.{a}.x":         {"n.1.x": true, "n.1.y": false, "n.1.x.y": false},
		"n.broadcast":     {"n.broadcast": true, "n.broadcast.x": false, "n": false, "": false},
		"{user}":          {"42": true, "a.b": false, "": false},
		"{user}.{device}": {"42.phone": true, "42": false},
	} {
		tmpl, err := subject.ParseTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		for s, want := range subjects {
			if tmpl.Match(s) != want {
				t.Errorf("%s matches %q: %v", text, s, !want)
			}
		}
	}
	if (subject.Template{}).Match("a") || (subject.Template{}).Match("") {
		t.Error("the zero template matches a subject")
	}
	tmpl, _ := subject.ParseTemplate("n.{city}.user.{user}")
	if got := tmpl.Variables(); !slices.Equal(got, []string{"city", "user"}) {
		t.Errorf("variables %q", got)
	}
	if n := testing.AllocsPerRun(100, func() { tmpl.Match("n.paris.user.42") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzTemplate: whatever the value, an expansion has the template's own tokens around
// exactly one token without wildcards.
func FuzzTemplate(f *testing.F) {
	f.Add("notifications.user.{user}", "42")
	f.Add("{user}.>", "a.b")
	f.Fuzz(func(t *testing.T, text, value string) {
		tmpl, err := subject.ParseTemplate(text)
		if err != nil {
			t.Skip()
		}
		filter, ok, err := tmpl.Expand(map[string]string{"user": value})
		if err != nil || !ok {
			return
		}
		if subject.CheckFilter(filter) != nil {
			t.Fatalf("%q with %q expands to the bad filter %q", text, value, filter)
		}
		want, got := strings.Split(text, "."), strings.Split(filter, ".")
		if len(want) != len(got) {
			t.Fatalf("%q with %q expands to %q", text, value, filter)
		}
		for i := range want {
			if token := want[i]; token == "{user}" && !tmpl.HasWildcard() && !tmpl.Match(filter) {
				t.Errorf("%q does not match its own expansion %q", text, filter)
			}
			if want[i] == "{user}" && (got[i] == "*" || got[i] == ">") || want[i] != "{user}" && got[i] != want[i] {
				t.Errorf("%q with %q expands to %q", text, value, filter)
			}
		}
	})
}
