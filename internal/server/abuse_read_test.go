package server_test

import (
	"fmt"
	"net/http"
	"strings"
)

// subjectAttacks request subjects that are not granted.
func subjectAttacks() (out []attack) {
	add := func(want []int, subjects ...string) {
		for _, s := range subjects {
			out = append(out, attack{name: fmt.Sprintf("subject %.60q", s), path: "/events?user=mallory&subject=" + s, want: want, as: "mallory"})
		}
	}
	add(forbidden,
		"notifications.user.alice", "notifications.user.*", "notifications.user.%3E", "notifications.%3E", "%3E", "*", "*.*", "*.user.alice", "*.*.*", "*.*.%3E",
		"notifications.*", "notifications.*.alice", "notifications.city.%3E", "notifications.city.*.x", "notifications.city", "notifications.topic",
		"notifications.home.alicetown", "Notifications.broadcast", "notifications.Broadcast", "notifications.user.mallory.x", "notifications.user.mallory.%3E",
		"$JS.API.%3E", "$SYS.%3E", "_INBOX.%3E", "tidemark.revoke", "$KV.x", "notifications.us\u0435r.alice", "notifications\uff0euser\uff0ealice",
		"%7Buser%7D", "notifications.user.%7Buser%7D", "notifications.user.alic%C3%A9")
	add(bad,
		"", ".", "..", "notifications..user.alice", ".notifications.user.alice", "notifications.user.alice.", "notifications.user.al*", "notifications.%3E.x", "notifications.user.%3E%3E", "%3E.%3E", "**",
		"notifications.user.alice%20", "%20notifications.user.alice", "notifications.user+alice", "notifications.user.alice%09", "notifications.user.alice%0d%0a", "notifications.user.%00", "notifications.city.%e2%80%a8", "notifications.city.%c2%a0x",
		"notifications.city.%ff", "notifications.city.%c0%ae", "notifications.city.%ef%bb%bf", "notifications.city."+strings.Repeat("a", 1025), "notifications.user.alic%2565", "notifications.city.s%25C3%25A3o", "notifications.city.100%25", "notifications.user.%25%36%31lice")
	out = append(out,
		attack{name: "subjects too many", path: "/events?user=mallory" + strings.Repeat("&subject=notifications.city.a", 65), want: []int{400, 414}},
		attack{name: "subject good and foreign", path: "/events?user=mallory&subject=notifications.city.paris&subject=notifications.user.alice", want: forbidden},
		attack{name: "subject foreign by only", path: "/events?user=mallory&only=1&subject=notifications.user.alice", want: forbidden},
		attack{name: "subject in an escaped name", path: "/events?user=mallory&%73ubject=notifications.user.alice", want: forbidden},
		attack{name: "subject behind a semicolon", path: "/events?user=mallory;subject=notifications.user.alice", want: bad},
		attack{name: "subject escaped twice", path: "/events?user=mallory&subject=notifications.user%252ealice", want: bad},
		attack{name: "subject with an escape cut off", path: "/events?user=mallory&subject=notifications.user.%3", want: bad},
		attack{name: "subject by a list", path: "/events?user=mallory&subject=notifications.city.paris,notifications.user.alice", want: forbidden},
		attack{name: "subject by brackets", path: "/events?user=mallory&subject[]=notifications.user.alice", as: "mallory", want: streams},
		attack{name: "subject in a body", method: http.MethodGet, path: "/events?user=mallory", header: []string{"Content-Type", "application/x-www-form-urlencoded"}, body: "subject=notifications.user.alice", as: "mallory", want: streams},
		attack{name: "subject allowed", path: "/events?user=mallory&subject=notifications.city.*", as: "mallory", gets: []string{"notifications.city.*"}, want: streams},
		attack{name: "only of nothing", path: "/events?user=mallory&only=1", want: bad},
		attack{name: "only of something else", path: "/events?user=mallory&only=true", want: bad},
		attack{name: "query oversized", path: "/events?user=mallory&x=" + strings.Repeat("x", 70<<10), want: []int{400, 414, 431}, plain: true},
	)
	return out
}

// resumeAttacks send positions of other users: a position grants nothing.
func (g *target) resumeAttacks() (out []attack) {
	l := g.listen("/events", "")
	id := string(l.next().ID)
	l.cancel()
	_, epoch, _ := strings.Cut(id, "-")
	for _, c := range []struct{ name, id string }{
		{"of alice's event", "1-" + epoch}, {"before alice's event", "0-" + epoch}, {"bare, before alice's event", "0"}, {"bare, of alice's event", "2"},
		{"of another epoch", "1-zzzzzz"}, {"of the epoch in capitals", "1-" + strings.ToUpper(epoch)}, {"in the future", "999999-" + epoch},
		{"the greatest", "18446744073709551615-" + epoch}, {"beyond the greatest", "18446744073709551616-" + epoch}, {"negative", "-1"}, {"signed", "+1-" + epoch},
		{"leading zero", "01-" + epoch}, {"hexadecimal", "0x1-" + epoch}, {"fraction", "1.0-" + epoch}, {"with a subject", "1-" + epoch + " notifications.user.alice"},
		{"wildcard", "*"}, {"everything", ">"}, {"two", "1-" + epoch + ",0-" + epoch}, {"fullwidth digits", "\uff11-" + epoch}, {"not UTF-8", "\xff\xfe"},
		{"long", strings.Repeat("1", 129)}, {"huge", strings.Repeat("9", 8<<10)}, {"SQL", "1' OR '1'='1"}, {"script", "<script>alert(1)</script>"},
	} {
		want := streams
		if len(c.id) > 128 {
			want = []int{200, 400, 431}
		}
		out = append(out, attack{name: "position " + c.name, path: "/events?user=mallory", header: []string{"Last-Event-ID", c.id}, want: want, as: "mallory"})
	}
	for _, c := range []struct{ name, query string }{
		{"of alice's event", "last_event_id=1-" + epoch}, {"with CRLF", "last_event_id=1-" + epoch + "%0d%0adata:%20x%0d%0a%0d%0a"}, {"with NUL", "last_event_id=1%00-" + epoch},
		{"with a line separator", "last_event_id=1%e2%80%a8"}, {"twice", "last_event_id=0&last_event_id=1"}, {"from the beginning", "from=all"}, {"from sequence zero", "from=0-" + epoch},
	} {
		want := streams
		if strings.HasPrefix(c.query, "from") {
			want = append(want, 400)
		}
		out = append(out, attack{name: "query position " + c.name, path: "/events?user=mallory&" + c.query, want: want, as: "mallory"})
	}
	return append(out,
		attack{name: "position with a line feed", raw: "GET /events?user=mallory HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nLast-Event-ID: 1\n\r\nX-A: b\r\n\r\n", want: streams, as: "mallory"},
		attack{name: "position folded", raw: "GET /events?user=mallory HTTP/1.1\r\nHost: {host}\r\nLast-Event-ID: 1-" + epoch + "\r\n data: x\r\n\r\n", want: streams, as: "mallory"},
		attack{name: "position with NUL", raw: "GET /events?user=mallory HTTP/1.1\r\nHost: {host}\r\nLast-Event-ID: 1\x00\r\n\r\n", want: bad, plain: true},
		attack{name: "position twice", path: "/events?user=mallory", header: []string{"Last-Event-ID", "0", "Last-Event-ID", "1"}, as: "mallory", want: streams},
		attack{name: "position and a foreign subject", path: "/events?user=mallory&subject=notifications.user.alice", header: []string{"Last-Event-ID", "1-" + epoch}, want: forbidden},
		attack{name: "position and everything", path: "/events?user=mallory&subject=%3E", header: []string{"Last-Event-ID", "0"}, want: forbidden},
		attack{name: "position of the anonymous", path: "/events", header: []string{"Last-Event-ID", "0-" + epoch}, want: streams},
	)
}
