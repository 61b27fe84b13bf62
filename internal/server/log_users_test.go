package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/logging"
	"github.com/tidemark/tidemark/internal/revocation"
	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testkit"
)

const loggedUser = "annalena"

// TestLog_Users_AreWrittenAsConfigured causes every log line about a user, and looks for the name in the whole
// log.
func TestLog_Users_AreWrittenAsConfigured(t *testing.T) {
	for mode, want := range map[string]struct{ ended, failed string }{
		"plain": {`"user":"annalena"`, `notifications.user.annalena`},
		"hash":  {`"user":"1b0dc4b3d277c72d"`, `notifications.user.1b0dc4b3d277c72d`},
		"off":   {`"connection closed"`, `notifications.user.*`},
	} {
		t.Run(mode, func(t *testing.T) {
			var log testkit.Log
			users := logging.Users{Mode: mode, Subjects: []string{"notifications.broadcast", "notifications.user.{user}"}}
			if mode == "hash" {
				users.Key = []byte("a key of 16 bytes and more")
			}
			level, err := logging.ParseLevel("trace")
			if err != nil {
				t.Fatal(err)
			}
			logger, err := logging.New(&log, level, "json")
			if err != nil {
				t.Fatal(err)
			}
			if logger, err = users.Redact(logger); err != nil {
				t.Fatal(err)
			}
			r := newHarness(t, func(o *server.Options) { o.Logger = logger })
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
				{"connection closed", want.ended}, {"revocation: applied"}, {"publish: request failed", `"subject":"` + want.failed, "trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736"},
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

// everythingLogged stops the node, so that its log is complete.
func everythingLogged(r *harness) {
	r.t.Helper()
	l := r.listen("/events?user="+loggedUser, "")
	l.want("tidemark.open")
	r.publish("notifications.user."+loggedUser, 1, 1)
	l.want("1")
	l.cancel()
	revoked := r.listen("/events?user="+loggedUser, "")
	revoked.want("tidemark.open")
	if err := r.nc.Publish(revocation.Subject, []byte(`{"user":"`+loggedUser+`"}`)); err != nil {
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
