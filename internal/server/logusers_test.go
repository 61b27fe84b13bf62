package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testkit"
)

const loggedUser = "annalena"

func usersLogger(t *testing.T, log *testkit.Log, users server.LogUsers) *slog.Logger {
	t.Helper()
	level, err := server.ParseLogLevel("trace")
	if err != nil {
		t.Fatal(err)
	}
	logger, err := server.NewLogger(log, level, "json")
	if err != nil {
		t.Fatal(err)
	}
	if logger, err = users.Logger(logger); err != nil {
		t.Fatal(err)
	}
	return logger
}

// TestUsersInTheLog lets everything happen to a user that is logged, and looks for the name in
// all lines of the run.
func TestUsersInTheLog(t *testing.T) {
	for mode, want := range map[string]struct{ ended, failed string }{
		"plain": {`"user":"annalena"`, `notifications.user.annalena`},
		"hash":  {`"user":"1b0dc4b3d277c72d"`, `notifications.user.1b0dc4b3d277c72d`},
		"off":   {`"connection closed"`, `notifications.user.*`},
	} {
		t.Run(mode, func(t *testing.T) {
			var log testkit.Log
			users := server.LogUsers{Mode: mode, Subjects: []string{"notifications.broadcast", "notifications.user.{user}"}}
			if mode == "hash" {
				users.Key = []byte("a key of 16 bytes and more")
			}
			r := newRig(t, func(o *server.Options) { o.Logger = usersLogger(t, &log, users) })
			everythingLogged(r)
			has := func(parts ...string) bool {
				for line := range strings.Lines(log.String()) {
					found := 0
					for _, part := range parts {
						if strings.Contains(line, part) {
							found++
						}
					}
					if found == len(parts) {
						return true
					}
				}
				return false
			}
			for _, parts := range [][]string{
				{"connection closed", want.ended}, {"revoked"}, {"publish failed", `"subject":"` + want.failed, "trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736"},
			} {
				if !has(parts...) {
					t.Errorf("no line has %q", parts)
				}
			}
			if named := has(loggedUser); named != (mode == "plain") {
				t.Errorf("the name is in the log: %v", named)
			}
			if t.Failed() {
				t.Log(log.String())
			}
		})
	}
}

// everythingLogged stops the node, so that all is logged.
func everythingLogged(r *rig) {
	r.t.Helper()
	l := r.listen("/events?user="+loggedUser, "")
	l.want("tidemark.open")
	r.publish("notifications.user."+loggedUser, 1, 1)
	l.want("1")
	l.cancel()
	revoked := r.listen("/events?user="+loggedUser, "")
	revoked.want("tidemark.open")
	if err := r.nc.Publish(server.RevokeSubject, []byte(`{"user":"`+loggedUser+`"}`)); err != nil {
		r.t.Fatal(err)
	}
	revoked.want("tidemark.close")
	if err := r.js.DeleteStream(r.t.Context(), "NOTIFICATIONS"); err != nil { // the node creates it again after a second
		r.t.Fatal(err)
	}
	body := `{"subject":"notifications.user.` + loggedUser + `","data":"x"}`
	status, _ := r.post("/publish", body, "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	if status == http.StatusOK {
		r.t.Errorf("published without a stream")
	}
	r.stop()
}

func TestUsersWithinTexts(t *testing.T) {
	var log testkit.Log
	logger := usersLogger(t, &log, server.LogUsers{Mode: "off", Subjects: []string{"n.user.{user}", "n.user.{user}.>", "{user}.inbox.>", "n.city.*"}})
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

// A user is written alike as a user, and in subjects that a text quotes; what follows a user whose
// dots were not encoded is hidden, too.
func TestLogUsers_EncodedUser_SameHashEverywhere(t *testing.T) {
	for _, user := range []string{"42", "alice.b@example.com", `DOMAIN\bob`, `o"brien`, "a b", "ü*>", "%41", "\u2028", "\u200bzw"} {
		var log testkit.Log
		tmpl := templates(t, "n.user.{user}")[0]
		subject, _, err := tmpl.Expand(map[string]string{"user": user})
		if err != nil {
			t.Fatal(err)
		}
		users := server.LogUsers{Mode: "hash", Key: []byte("sixteen bytes...."), Subjects: []string{tmpl.String()}}
		usersLogger(t, &log, users).Info("x", "user", user, "subject", subject, "error", fmt.Errorf("publish to %q: no", subject))
		line := []byte(log.String())
		hash := field(line, "user")
		if len(hash) != 16 || field(line, "subject") != "n.user."+hash || field(line, "error") != `publish to "n.user.`+hash+`": no` {
			t.Errorf("%q: %s", user, line)
		}
	}
	var log testkit.Log
	users := server.LogUsers{Mode: "off", Subjects: []string{"n.all", "n.user.{user}"}}
	usersLogger(t, &log, users).Info("x", "subject", "n.user.alice.b@example.com", "error", errors.New(`"n.user.alice.b@example.com" and n.user.carol.d`))
	if line := []byte(log.String()); field(line, "subject") != "n.user.*" || field(line, "error") != `"n.user.*" and n.user.*` {
		t.Errorf("%s", line)
	}
}

func TestKeysOfUsers(t *testing.T) {
	hashed := func(key string) string {
		var log testkit.Log
		users := server.LogUsers{Mode: "hash", Key: []byte(key), Subjects: []string{"n.{user}", "n.{user}.>"}}
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
	for _, users := range []server.LogUsers{{Mode: "hash", Key: []byte("short")}, {Mode: "none"}} {
		if _, err := users.Logger(slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), "log.users") {
			t.Errorf("%+v: %v", users, err)
		}
	}
}
