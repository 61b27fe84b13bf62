package logging_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/logging"
	"github.com/tidemark/tidemark/internal/subject"
	"github.com/tidemark/tidemark/internal/testkit"
)

const loggedUser = "annalena"

func usersLogger(t *testing.T, log *testkit.Log, users logging.Users) *slog.Logger {
	t.Helper()
	level, err := logging.ParseLevel("trace")
	if err != nil {
		t.Fatal(err)
	}
	logger, err := logging.New(log, level, "json")
	if err != nil {
		t.Fatal(err)
	}
	if logger, err = users.Redact(logger); err != nil {
		t.Fatal(err)
	}
	return logger
}

func TestUsers_SubjectsWithinTexts_AreRedacted(t *testing.T) {
	var log testkit.Log
	logger := usersLogger(t, &log, logging.Users{Mode: "off", Subjects: []string{"n.user.{user}", "n.user.{user}.>", "{user}.inbox.>", "n.city.*"}})
	for _, tt := range []struct{ value, want any }{
		{"n.user.42", "n.user.*"},
		{`n.user.o"b\r`, "n.user.*"},
		{errors.New(`publish to "n.user.42": "n.user.43" is full`), `publish to "n.user.*": "n.user.*" is full`},
		{fmt.Errorf("publish to %q", `n.user.o"b'r`), `publish to "n.user.*"`},
		{"42.inbox.a.b", "*.inbox.a.b"},
		{"n.city.berlin", "n.city.berlin"},
		{"n.user.alice%2Eb@example%2Ecom", "n.user.*"},
		{"[n.all n.user.42 n.city.x]", "[n.all n.user.* n.city.x]"},
		{`{"subject":"n.user.42"}`, `{"subject":"n.user.*"}`},
		{"n.user.42.x.y", "n.user.*.x.y"},
		{errors.New("stream ended. n.user.42."), "stream ended. n.user.*."},
		{7, 7.0},
	} {
		before := len(log.String())
		logger.With("user", "42").Info("about n.user.42 here", "value", tt.value, "user", "42")
		var line map[string]any
		if err := json.Unmarshal([]byte(log.String()[before:]), &line); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(line["value"]); got != fmt.Sprint(tt.want) || line["message"] != "about n.user.* here" {
			t.Errorf("%v: %v, want %v", tt.value, line, tt.want)
		}
		if _, there := line["user"]; there {
			t.Errorf("the user is there: %v", line)
		}
	}
	before := len(log.String())
	logger.WithGroup("g").Info("x", slog.Group("h", "user", "42", "in", "n.user.42"))
	if line := log.String()[before:]; strings.Contains(line, `"42"`) || strings.Contains(line, ".42") || !strings.Contains(line, `"n.user.*"`) {
		t.Error(line)
	}
}

// A user is written alike as a user, and in subjects that a text quotes; the rest of a user whose
// dots were not encoded is redacted, too.
func TestUsers_EncodedUser_SameHashEverywhere(t *testing.T) {
	for _, user := range []string{"42", "alice.b@example.com", `DOMAIN\bob`, `o"brien`, "a b", "ü*>", "%41", "\u2028", "\u200bzw"} {
		var log testkit.Log
		tmpl, err := subject.ParseTemplate("n.user.{user}")
		if err != nil {
			t.Fatal(err)
		}
		subject, _, err := tmpl.Expand(map[string]string{"user": user})
		if err != nil {
			t.Fatal(err)
		}
		users := logging.Users{Mode: "hash", Key: []byte("sixteen bytes...."), Subjects: []string{tmpl.String()}}
		usersLogger(t, &log, users).Info("x", "user", user, "subject", subject, "error", fmt.Errorf("publish to %q: no", subject))
		line := []byte(log.String())
		hash := field(line, "user")
		if len(hash) != 16 || field(line, "subject") != "n.user."+hash || field(line, "error") != `publish to "n.user.`+hash+`": no` {
			t.Errorf("%q: %s", user, line)
		}
	}
	var log testkit.Log
	users := logging.Users{Mode: "off", Subjects: []string{"n.all", "n.user.{user}"}}
	usersLogger(t, &log, users).Info("x", "subject", "n.user.alice.b@example.com", "error", errors.New(`"n.user.alice.b@example.com" and n.user.carol.d`))
	if line := []byte(log.String()); field(line, "subject") != "n.user.*" || field(line, "error") != `"n.user.*" and n.user.*` {
		t.Errorf("%s", line)
	}
}

func TestUsers_Key_DecidesTheHash(t *testing.T) {
	hashed := func(key string) string {
		var log testkit.Log
		users := logging.Users{Mode: "hash", Key: []byte(key), Subjects: []string{"n.{user}", "n.{user}.>"}}
		usersLogger(t, &log, users).Info("x", "user", loggedUser, "subject", "n."+loggedUser, "error", errors.New("n."+loggedUser+".x"))
		user := field([]byte(log.String()), "user")
		if line := log.String(); !strings.Contains(line, `"n.`+user+`"`) || !strings.Contains(line, `"n.`+user+`.x"`) {
			t.Errorf("a user has several hashes: %s", line)
		}
		return user
	}
	if first, second := hashed(""), hashed(""); first == second {
		t.Error("two starts without a key write the same hash")
	}
	if a := hashed("sixteen bytes...."); a != hashed("sixteen bytes....") || a == hashed("sixteen others...") || len(a) != 16 {
		t.Errorf("the hash is not the key's: %s", a)
	}
	for _, users := range []logging.Users{{Mode: "hash", Key: []byte("short")}, {Mode: "none"}} {
		if _, err := users.Redact(slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), "log.users") {
			t.Errorf("%+v: %v", users, err)
		}
	}
}

func field(line []byte, name string) string {
	var fields map[string]any
	_ = json.Unmarshal(line, &fields)
	return fmt.Sprint(fields[name])
}
