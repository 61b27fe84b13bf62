package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/server"
)

// untilEndAttacks use connections that end with their subjects to read, or to learn of, the subjects of others.
func untilEndAttacks() (out []attack) {
	add := func(name, query string, want []int) {
		out = append(out, attack{name: "until end " + name, path: "/events?user=mallory&until=end" + query, want: want, as: "mallory"})
	}
	for _, of := range []string{"alice", "good", "nobody-there"} { // with events, with events and without
		add("of "+of, "&subject=notifications.user."+of, forbidden)
		add("of "+of+" from the beginning", "&from=all&subject=notifications.user."+of, forbidden)
		add("of "+of+" by a position", "&last_event_id=999999&subject=notifications.user."+of, forbidden)
		add("of "+of+" among others", "&subject=notifications.city.paris&subject=notifications.user."+of, forbidden)
	}
	add("of a wildcard", "&subject=notifications.user.*", bad)
	add("of everything", "&subject=%3E", bad)
	add("of an allowed wildcard", "&subject=notifications.city.*", bad)
	add("of nothing", "", bad)
	add("of the defaults", "&only=1", bad)
	add("of an empty subject", "&subject=", bad)
	add("of something else", "&until=begin&subject=notifications.city.paris", bad)
	add("twice", "&until=end&subject=notifications.city.paris", bad)
	add("of an allowed subject", "&subject=notifications.city.paris", streams)
	add("of too many", strings.Repeat("&subject=notifications.city.a", 65), bad)
	out = append(out,
		attack{name: "until something else", path: "/events?user=mallory&until=begin&subject=notifications.city.paris", want: bad},
		attack{name: "until the end in capitals", path: "/events?user=mallory&until=END&subject=notifications.city.paris", want: bad},
		attack{name: "until nothing", path: "/events?user=mallory&until=&subject=notifications.city.paris", want: bad},
	)
	for i := range out {
		if out[i].want[0] == http.StatusOK {
			out[i].gets, out[i].without = []string{"notifications.city.paris"}, true
		}
	}
	return out
}

// The answers about subjects of other users do not depend on stored events: complete subjects, open subjects and subjects
// without events are rejected alike, at every position.
func TestUntilEnd_SubjectsOfOthers_AnswersDoNotTellThemApart(t *testing.T) {
	for name, identity := range map[string]func(*server.Options){
		"development": func(*server.Options) {},
		"token": func(o *server.Options) {
			o.Auth.Identity, o.Auth.JWT = []string{"jwt"}, issuerOptions(t)
			o.Auth.JWT.Query = true
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newHarness(t, identity)
			r.publish("notifications.user.complete", 1, 2)
			r.end("notifications.user.complete", "end")
			r.publish("notifications.user.open", 1, 2)
			r.publish("notifications.topic.mine", 1, 1)
			credentials := "user=mallory"
			if name == "token" {
				credentials = "access_token=" + token(claims{"sub": "mallory", "only": []string{"notifications.topic.mine"}})
			}
			for _, extra := range []string{"", "&from=all", "&from=last", "&last_event_id=0", "&last_event_id=3", "&last_event_id=999999", "&subject=notifications.topic.mine"} {
				var first string
				for _, of := range []string{"complete", "open", "nobody"} {
					subject := "notifications.user." + of
					resp, body := r.request(http.MethodGet, r.base+"/events?"+credentials+"&until=end&subject="+subject+extra, "")
					resp.Header.Del("Date")
					resp.Header.Del("Content-Length") // the answer quotes the subject
					got := fmt.Sprint(resp.Status, resp.Header, strings.ReplaceAll(string(body), subject, "SUBJECT"))
					if resp.StatusCode != http.StatusForbidden {
						t.Errorf("%s%s: %s", subject, extra, got)
					}
					if first == "" {
						first = got
					}
					if got != first {
						t.Errorf("%s%s is told apart:\n%s\n%s", subject, extra, got, first)
					}
				}
			}
			// The own subjects of the same request work.
			r.end("notifications.topic.mine", "end")
			got := r.read("/events?" + credentials + "&until=end&subject=notifications.topic.mine")
			if len(got.events) != 4 || got.events[3] != "tidemark.close complete" {
				t.Errorf("the granted subject: %d %q", got.status, got.events)
			}
		})
	}
}

// A token that leaves out one of the requested subjects is rejected: the connection would end without its events.
func TestUntilEnd_TokenLeavesOutASubject_Answers403(t *testing.T) {
	r := newHarness(t, func(o *server.Options) {
		o.Auth.Identity, o.Auth.JWT = []string{"jwt"}, issuerOptions(t)
		o.Auth.JWT.Query = true
	})
	r.end(job, "end")
	grant := "&access_token=" + token(claims{"sub": "mallory", "only": []string{job}})
	if got := r.read(untilEnd(job, otherJob) + grant); got.status != http.StatusForbidden {
		t.Errorf("with a subject that is not granted: %d %q", got.status, got.events)
	}
	r.completes(untilEnd(job)+grant, "", "end")
}
