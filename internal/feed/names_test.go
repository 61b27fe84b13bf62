package feed_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/tidemark/tidemark/internal/feed"
)

func TestParsePosition(t *testing.T) {
	for in, want := range map[string]feed.Position{
		"0":                    {},
		"1042":                 {Seq: 1042},
		"1042-k7f3q9":          {Seq: 1042, Epoch: "k7f3q9"},
		"0-a":                  {Epoch: "a"},
		"7-eu-west-2":          {Seq: 7, Epoch: "eu-west-2"},
		"18446744073709551615": {Seq: 1<<64 - 1},
	} {
		if got, err := feed.ParsePosition(in); got != want || err != nil {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "-", "-a", "x", "1x", "+1", "-1", " 1", "1 ", "01", "1-", "1-A", "1-é", "1_a", "1.5", "0x10",
		"18446744073709551616", "1-" + strings.Repeat("a", 33), strings.Repeat("1", 200), "1\n", "1-a\x00", "１",
	} {
		if got, err := feed.ParsePosition(in); !errors.Is(err, feed.ErrPosition) {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
}

func FuzzPosition(f *testing.F) {
	for _, s := range []string{"0", "1042-k7f3q9", "-", "1-", "99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := feed.ParsePosition(s)
		if err == nil && p.String() != s {
			t.Errorf("%q reads as %+v, which is written %q", s, p, p)
		}
	})
}

func TestSubjects(t *testing.T) {
	for _, s := range []string{"a", "a.b", "notifications.user.42", "ünïcode.ok", "a-b_c:d/e", "a.b%2Ec", "a." + strings.Repeat("%2E", 255), strings.Repeat("a", 1024)} {
		if err := feed.CheckSubject(s); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []string{"", ".", "a.", ".a", "a..b", "a.*", ">", "a b", "a\tb", "a\r\nb", "a\x00", "a.b*", "a.>.b", "a\xff", "a\u2028b", "a.b%40c", "a.b%2e", "a.100%", strings.Repeat("a", 1025)} {
		if err := feed.CheckSubject(s); err == nil {
			t.Errorf("subject %q is taken", s)
		}
	}
	for _, s := range []string{"*", ">", "a.*.c", "a.>"} {
		if err := feed.CheckFilter(s); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []string{"", "a.>.c", "a.b>", "a.**", "a. .b"} {
		if err := feed.CheckFilter(s); err == nil {
			t.Errorf("filter %q is taken", s)
		}
	}
}

func TestSubset(t *testing.T) {
	for _, c := range []struct {
		inner, outer string
		want         bool
	}{
		{"a.b", "a.b", true}, {"a.b", "a.*", true}, {"a.b", "a.>", true}, {"a.b", ">", true},
		{"a.*", "a.>", true}, {"a.*", "*.*", true}, {"a.>", "a.>", true}, {"a.>", ">", true},
		{"a.*", "a.b", false}, {"a.>", "a.*", false}, {"a", "a.>", false}, {"a.b.c", "a.*", false},
		{"a.b", "a.b.c", false}, {"*", "a", false}, {">", "*", false}, {"a.*.c", "a.b.c", false},
	} {
		if got := feed.Subset(c.inner, c.outer); got != c.want {
			t.Errorf("Subset(%q, %q) = %v", c.inner, c.outer, got)
		}
	}
}

// FuzzSubset compares with nats-server's own judgement.
func FuzzSubset(f *testing.F) {
	f.Add("a.*.c", "a.>")
	f.Add("a.b", "*.b")
	f.Fuzz(func(t *testing.T, inner, outer string) {
		if feed.CheckFilter(inner) != nil || feed.CheckFilter(outer) != nil {
			t.Skip()
		}
		if !server.IsValidSubject(inner) {
			t.Errorf("nats-server refuses %q", inner)
		}
		if got, want := feed.Subset(inner, outer), server.SubjectMatchesFilter(inner, outer); feed.CheckSubject(inner) == nil && got != want {
			t.Errorf("Subset(%q, %q) = %v, nats-server says %v", inner, outer, got, want)
		}
	})
}

func TestMergeFilters(t *testing.T) {
	got := feed.MergeFilters([]string{"a.b", "a.*", "c", "a.*", "d.>", "d.e.f", "*.x"})
	if want := []string{"*.x", "a.*", "c", "d.>"}; !slices.Equal(got, want) {
		t.Errorf("merged to %v, want %v", got, want)
	}
}

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
		tmpl, err := feed.ParseTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		got, ok, err := tmpl.Expand(vars)
		if err != nil || got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v, %v", text, got, ok, err)
		}
	}
	for _, name := range []string{"long", "bytes"} {
		tmpl, _ := feed.ParseTemplate("n.{" + name + "}")
		if got, ok, err := tmpl.Expand(vars); err == nil || ok {
			t.Errorf("the value %q expands to %q", vars[name], got)
		}
	}
	for _, text := range []string{"", "a..b", "a.{", "a.}", "a.{}", "a.x{user}", "a.{user}x", "a.{us er}", "a.{{user}}", "a.>.{user}", "a.{user}.>.b"} {
		if _, err := feed.ParseTemplate(text); err == nil {
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
		tmpl, err := feed.ParseTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		for s, want := range subjects {
			if tmpl.Match(s) != want {
				t.Errorf("%s matches %q: %v", text, s, !want)
			}
		}
	}
	if (feed.Template{}).Match("a") || (feed.Template{}).Match("") {
		t.Error("the zero template matches a subject")
	}
	tmpl, _ := feed.ParseTemplate("n.{city}.user.{user}")
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
		tmpl, err := feed.ParseTemplate(text)
		if err != nil {
			t.Skip()
		}
		filter, ok, err := tmpl.Expand(map[string]string{"user": value})
		if err != nil || !ok {
			return
		}
		if feed.CheckFilter(filter) != nil {
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

func TestValidateMessage(t *testing.T) {
	ok := feed.Message{Subject: "tidemark", Type: "greeting", ID: "x-1", TTL: time.Minute, Header: map[string]string{"Content-Type": "text/csv", "ce-x": "é"}}
	if err := ok.Validate(); err != nil {
		t.Error(err)
	}
	bad := map[string]feed.Message{
		"subject":  {Subject: "a.*"},
		"event":    {Subject: "a", Type: "tidemark.gap"},
		"subject ": {Subject: "$JS.API.STREAM.DELETE.NOTIFICATIONS"},
		"id":       {Subject: "a", ID: "x\r\nNats-Rollup: all"},
		" subject": {Subject: "tidemark.revoke"},
		"ttl":      {Subject: "a", TTL: -time.Second},
		"ttl ":     {Subject: "a", TTL: time.Second + 1},
		"X-A":      {Subject: "a", Header: map[string]string{"X-A": "x\r\nNats-Rollup: all"}},
		"X-B":      {Subject: "a", Header: map[string]string{"X-B": " x"}},
		"NATS-TTL": {Subject: "a", Header: map[string]string{"NATS-TTL": "1s"}},
		"X:":       {Subject: "a", Header: map[string]string{"X:": "x"}},
	}
	for _, field := range slices.Sorted(maps.Keys(bad)) {
		err := bad[field].Validate()
		if invalid, ok := errors.AsType[*feed.InvalidError](err); !ok || invalid.Field != strings.TrimSpace(field) {
			t.Errorf("%+v: %v", bad[field], err)
		}
	}
	for _, typ := range []string{"error", "open", "tidemark.x", "a\nb", "a\rb", "a\x00", " a", "\xff", strings.Repeat("x", 129)} {
		if feed.CheckType(typ) == nil {
			t.Errorf("event type %q is taken", typ)
		}
	}
}
