package server_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"

	"github.com/tidemark/tidemark/internal/revocation"
	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testkit"
	"github.com/tidemark/tidemark/pkg/auth"
)

// realUsers are ids of identity providers, and values that resemble other syntax.
var realUsers = []string{
	"auth0|5f7c8ec7", "google-oauth2|1234567890", "über", "😀", "a/b", `DOMAIN\bob`, `"q"`, "o'brien", "a+b@c",
	"urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8", "x&y=z", "#1", "%41", "$me", "{x}", "f:1234:bob", "uid=bob,ou=people", "bob@localhost",
	"6ba7b810-9dad-11d1-80b4-00c04fd430c8", strings.Repeat("a", 200), "<b>", "\u00e9", "e\u0301", "12345678901234567890", "-1", "_x", "$JS", "tidemark",
	"alice@example.com", "a b", "apple|001473.fe6f.2039", "x>", "first.last", "\u200bzw", "İ",
	// Further members: characters that are encoded, spellings of others, the longest.
	"alice.b@example.com", "alice%2Eb@example%2Ecom", "alice%2eb@example%2ecom", "A", "100%", "%", "*", ">", ".", "..", "{user}", "_",
	"CN=Bob Smith,OU=People,O=\"Acme, Inc.\",C=DE", "spiffe://example.org/ns/default/sa/web", "a\u00a0b", "a\u2028b", "\ufeffa", "a\u3000b", "a\tb", "a\x00\n\x7fb", "\u0085",
	"👩\u200d💻", "Ⅷ", strings.Repeat("x", 255), strings.Repeat(".", 255), strings.Repeat("é", 127) + "x", " ",
}

// userDoors are the ways in which a client sends its user. An entry returns nothing for a user that it cannot
// carry.
var userDoors = map[string]func(t *testing.T, user string) (path string, header []string){
	"query": func(_ *testing.T, user string) (string, []string) {
		return "/events?user=" + url.QueryEscape(user), nil
	},
	"token": func(t *testing.T, user string) (string, []string) {
		return "/events", []string{"Authorization", "Bearer " + bearerOf(t, map[string]any{"sub": user, "exp": 600, "iat": -5})}
	},
	"header": func(_ *testing.T, user string) (string, []string) {
		if !httpguts.ValidHeaderFieldValue(user) || strings.Trim(user, " \t") != user {
			return "", nil
		}
		return "/events", []string{"X-User", user}
	},
}

func byEveryDoor(t *testing.T) func(*server.Options) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(tokenSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(o *server.Options) {
		o.Auth = server.AuthOptions{
			Identity: []string{"jwt", "header", "dev"},
			JWT:      auth.JWTOptions{SecretFile: file, Leeway: -1},
			Header:   auth.HeaderOptions{Trusted: auth.AnyAddress()},
		}
		o.Feeds[0].Allow = append(o.Feeds[0].Allow, templates(t, "notifications.room.{user}.*")...)
	}
}

// publishDoors publish one event to a user.
var publishDoors = []struct {
	name    string
	publish func(r *harness, user, subject, data string) error
}{
	{"nats", func(r *harness, _, subject, data string) error {
		_, err := r.js.Publish(r.t.Context(), subject, []byte(data))
		return err
	}},
	{"subject", func(r *harness, _, subject, data string) error {
		return r.stored("/publish", asJSON(map[string]string{"subject": subject, "data": data}))
	}},
	{"user", func(r *harness, user, _, data string) error {
		return r.stored("/publish", asJSON(map[string]string{"user": user, "data": data}))
	}},
	{"raw", func(r *harness, user, _, data string) error {
		return r.stored("/publish?user="+url.QueryEscape(user), data)
	}},
	{"path", func(r *harness, _, subject, data string) error {
		return r.stored("/publish/"+url.PathEscape(subject), data)
	}},
	{"send-message", func(r *harness, user, _, data string) error {
		return r.stored("/api/events/send-message", asJSON(map[string]string{"userId": user, "message": data}))
	}},
}

func asJSON(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

func (r *harness) stored(path, body string) error {
	if status, answer := r.post(path, body); status != http.StatusOK {
		return fmt.Errorf("%d %v", status, answer)
	}
	return nil
}

// All events for a user reach that user and no other, for every name, and for every way in which client and
// publisher name the user.
func TestUsers_EveryDoor_DeliveredToThatUserAlone(t *testing.T) {
	var log testkit.Log
	r := newHarness(t, func(o *server.Options) {
		byEveryDoor(t)(o)
		withPresence("a")(o)
		o.Logger = slog.New(slog.NewJSONHandler(&log, nil))
	})
	user := templates(t, "notifications.user.{user}")[0]
	subjects := make([]string, len(realUsers))
	type open struct {
		door  string
		index int
		*listener
	}
	var all []open
	for i, id := range realUsers {
		var err error
		if subjects[i], _, err = user.Expand(map[string]string{"user": id}); err != nil {
			t.Fatal(err)
		}
		for door, request := range userDoors {
			path, header := request(t, id)
			if path == "" {
				continue
			}
			l := r.listenAs(path, header...)
			var opened struct{ Subjects []string }
			if ev := l.next(); json.Unmarshal(ev.Data, &opened) != nil || !slices.Equal(opened.Subjects, []string{"notifications.broadcast", subjects[i]}) {
				t.Errorf("%q by %s: %s", id, door, ev.Data)
			}
			all = append(all, open{door, i, l})
		}
	}
	for i, id := range realUsers {
		for _, door := range publishDoors {
			if err := door.publish(r, id, subjects[i], fmt.Sprintf("%s for %d", door.name, i)); err != nil {
				t.Errorf("publish to %q by %s: %v", id, door.name, err)
			}
		}
	}
	r.publish("notifications.broadcast", 7, 7)
	for _, c := range all {
		var want []string
		for _, door := range publishDoors {
			text := fmt.Sprintf("%s for %d", door.name, c.index)
			if door.name == "send-message" {
				text = `{"message":"` + text + `"}`
			}
			want = append(want, text)
		}
		c.want(append(want, "7")...)
	}
	checkPresence(r)
	for _, c := range all {
		c.cancel()
	}
	r.stop()
	if text := log.String(); !strings.Contains(text, `"user":"alice.b@example.com"`) || strings.Contains(text, `"user":"alice%2Eb`+`@example%2Ecom"`) != slices.Contains(realUsers, "alice%2Eb@example%2Ecom") {
		t.Errorf("the log does not have the plain names of users:\n%.2000s", text)
	}
}

// statusOf does not read the body, which may be a stream of events.
func (r *harness) statusOf(path string, header ...string) int {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.base+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// checkPresence finds each user by the plain id, in the path and in the query.
func checkPresence(r *harness) {
	r.t.Helper()
	for _, id := range realUsers {
		doors := 0
		for _, request := range userDoors {
			if path, _ := request(r.t, id); path != "" {
				doors++
			}
		}
		paths := []string{"/connections?user=" + url.QueryEscape(id)}
		if strings.Trim(id, ".") != "" { // clients and servers remove dots from a path
			paths = append(paths, "/connections/"+url.PathEscape(id))
		}
		for _, path := range paths {
			for _, c := range r.awaitConnections(path, doors).Connections {
				if c.User != id {
					r.t.Errorf("%s: the user %q", path, c.User)
				}
			}
		}
	}
}

// A revocation names the plain id, and closes the connections of that user alone.
func TestUsers_Revoked_ConnectionsOfThatUserEnd(t *testing.T) {
	r := newHarness(t, byEveryDoor(t))
	for _, pair := range [][2]string{
		{"alice.b@example.com", "alice%2Eb@example%2Ecom"}, {"CN=Bob Smith,O=\"Acme\"", "CN=Bob"}, {"a\u2028b", "ab"}, {"*", "a"}, {strings.Repeat(".", 255), strings.Repeat(".", 254)},
	} {
		var ended, stays []*listener
		for _, door := range userDoors {
			if path, header := door(t, pair[0]); path != "" {
				ended = append(ended, r.listenAs(path, header...))
				path, header = door(t, pair[1])
				stays = append(stays, r.listenAs(path, header...))
			}
		}
		for _, l := range append(slices.Clone(ended), stays...) {
			l.want("tidemark.open")
		}
		if err := r.nc.Publish(revocation.Subject, []byte(asJSON(map[string]string{"user": pair[0]}))); err != nil {
			t.Fatal(err)
		}
		for _, l := range ended {
			l.want("tidemark.close")
		}
		r.publish("notifications.broadcast", 1, 1)
		for _, l := range stays {
			l.want("1")
		}
		_, header := userDoors["token"](t, pair[0])
		if status := r.statusOf("/events", header...); status != http.StatusUnauthorized {
			t.Errorf("%q comes in again: %d", pair[0], status)
		}
	}
}

// Subjects granted by a template of allow are below the user's own token.
func TestUsers_AllowTemplate_OwnTokenAlone(t *testing.T) {
	r := newHarness(t, byEveryDoor(t))
	for id, token := range map[string]string{"alice.b@example.com": "alice%2Eb@example%2Ecom", "*": "%2A", "a b": "a%20b", "%41": "%2541"} {
		query := "&only=1&subject=" + url.QueryEscape("notifications.room."+token+".*")
		l := r.listen("/events?user="+url.QueryEscape(id)+query, "")
		l.want("tidemark.open")
		r.publish("notifications.room.other.1", 1, 1)
		r.publish("notifications.room."+token+".1", 2, 2)
		l.want("2")
		if status := r.statusOf("/events?user=mallory" + query); status != http.StatusForbidden {
			t.Errorf("%q: another user reads the room: %d", id, status)
		}
		if status, answer := r.post("/publish", asJSON(map[string]string{"subject": "notifications.room." + token + ".2", "data": "x"})); status != http.StatusOK {
			t.Errorf("%q: %d %v", id, status, answer)
		}
	}
}

// Users that no token can hold are refused at every door, and nothing is stored.
func TestUsers_NotEncodable_RefusedAtEveryDoor(t *testing.T) {
	r := newHarness(t, byEveryDoor(t))
	for _, id := range []string{strings.Repeat("x", 256), strings.Repeat("é", 128), "a\xff"} {
		for name, door := range userDoors {
			path, header := door(t, id)
			if path == "" || name == "token" && strings.Contains(id, "\xff") { // json.Marshal would put U+FFFD
				continue
			}
			if status := r.statusOf(path, header...); status != http.StatusBadRequest {
				t.Errorf("%.10q... by %s: %d", id, name, status)
			}
		}
		for _, door := range publishDoors[2:] {
			if door.name != "raw" && strings.Contains(id, "\xff") {
				continue
			}
			if err := door.publish(r, id, "", "x"); err == nil || !strings.HasPrefix(err.Error(), "400") {
				t.Errorf("%.10q... published by %s: %v", id, door.name, err)
			}
		}
	}
	if info, err := r.stream().Info(t.Context()); err != nil || info.State.LastSeq != 0 {
		t.Errorf("stored up to %d (%v)", info.State.LastSeq, err)
	}
}
