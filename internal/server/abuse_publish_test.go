package server_test

import (
	"fmt"
	"net/http"
	"strings"
)

const broadcastX = `{"subject":"notifications.broadcast","data":"x"}`

func post(name, path, body string, want []int, header ...string) attack {
	return attack{name: "publish " + name, method: http.MethodPost, path: path, body: body, header: header, want: want}
}

// publishAttacks publish events that their key or token does not allow.
func (g *target) publishAttacks(key, strange string) (out []attack) {
	tok := func(c claims) []string { return bearer(g.secret(token(c))) }
	add := func(name, body string, want []int, header ...string) {
		out = append(out, post(name, "/publish", body, want, header...))
	}
	add("without a key", broadcastX, unknown)
	add("by the gateway's header", broadcastX, unknown, "X-User", "alice")
	add("with a strange key", broadcastX, unknown, "X-API-Key", strange)
	add("with a key cut", broadcastX, unknown, "X-API-Key", key[:len(key)-1])
	add("with a key and more", broadcastX, unknown, "X-API-Key", key+"A")
	add("with a key in capitals", broadcastX, unknown, "X-API-Key", strings.ToUpper(key))
	add("with a huge key", broadcastX, unknown, "X-API-Key", "tmk_"+strings.Repeat("x", 8<<10))
	add("with the key's name", broadcastX, unknown, "X-API-Key", "shop")
	add("with two keys", broadcastX, bad, "X-API-Key", key, "X-API-Key", strange)
	add("with two different keys", broadcastX, bad, "X-API-Key", key, "Authorization", "Bearer "+strange)
	add("with a key as basic", broadcastX, unknown, "Authorization", "Basic "+key)
	add("with a key for others", `{"subject":"notifications.user.alice","data":"x"}`, forbidden, "X-API-Key", key)
	add("with a key for a part", `{"subject":"notifications.topic.shop.x","data":"x"}`, forbidden, "X-API-Key", key)
	add("a batch of which one is not allowed", `[`+broadcastX+`,{"subject":"notifications.user.alice","data":"x"},`+broadcastX+`]`, forbidden, "X-API-Key", key)
	add("a batch of which the last is invalid", `[`+broadcastX+`,{"subject":"notifications.topic.*","data":"x"}]`, bad, "X-API-Key", key)
	add("a batch of which one is reserved", `[`+broadcastX+`,{"subject":"notifications.broadcast","event":"tidemark.close","data":"x"}]`, bad, "X-API-Key", key)
	add("a batch too long", `[`+strings.Repeat(broadcastX+`,`, 20)+broadcastX+`]`, bad, "X-API-Key", key)
	add("a body too long", `{"subject":"notifications.broadcast","data":"`+strings.Repeat("x", 65<<10)+`"}`, tooLarge, "X-API-Key", key)
	add("a body too long without a key", strings.Repeat("x", 65<<10), unknown)
	add("with a token that only reads", broadcastX, forbidden, tok(nil)...)
	add("with a token for others", broadcastX, forbidden, tok(claims{"publish": "notifications.topic.>"})...)
	add("with a token for nothing", broadcastX, forbidden, tok(claims{"publish": []string{}})...)
	add("with a token for rubbish", broadcastX, unknown, tok(claims{"publish": "notifications.>>"})...)
	add("with an expired token", broadcastX, unknown, tok(claims{"publish": ">", "exp": 1})...)
	add("with a token that widens", broadcastX, forbidden, tok(claims{"read": ">", "only": ">"})...)
	add("with a forged token", broadcastX, unknown, bearer(g.secret(signed(`{"alg":"RS256"}`, payload(claims{"publish": ">"}), evilKey())))...)
	add("another stream with a token for all", `{"subject":"$JS.API.STREAM.DELETE.NOTIFICATIONS","data":""}`, bad, tok(claims{"publish": ">"})...)
	add("a revocation with a token for all", `{"subject":"tidemark.revoke","data":{"user":"good"}}`, bad, tok(claims{"publish": ">"})...)
	send := func(name, body string, want []int, header ...string) {
		out = append(out, post("by send-message "+name, "/api/events/send-message", body, want, header...))
	}
	send("without a key", `{"message":"x"}`, unknown)
	send("to a user with a key for all users' news", `{"userId":"alice","message":"x"}`, forbidden, "X-API-Key", key)
	send("with a wildcard", `{"userId":"*","message":"x"}`, forbidden, "X-API-Key", key)
	inPath := func(name, subject string, want []int, header ...string) {
		out = append(out, post("a body "+name, "/publish/"+subject, "x", want, header...))
	}
	inPath("without a key", "notifications.broadcast", unknown)
	inPath("with a strange key", "notifications.broadcast", unknown, "X-API-Key", strange)
	inPath("with a key for others", "notifications.user.alice", forbidden, "X-API-Key", key)
	inPath("with a key for a part", "notifications.topic.shop.x", forbidden, "X-API-Key", key)
	inPath("to a subject hidden by an encoding", "notifications%2Euser%2Ealice", forbidden, "X-API-Key", key)
	inPath("to a subject behind a parent", "notifications.broadcast/../notifications.user.alice", bad, "X-API-Key", key)
	inPath("with a key and another subject in the query", "notifications.broadcast?user=alice", bad, "X-API-Key", key)
	inPath("to JetStream with a token for all", "$JS.API.STREAM.DELETE.NOTIFICATIONS", bad, tok(claims{"publish": ">"})...)
	inPath("a revocation with a token for all", "tidemark.revoke", bad, tok(claims{"publish": ">"})...)
	inPath("to a subject with another in the header", "notifications.user.alice", forbidden, "X-API-Key", key, "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/x", "ce-type", "t", "ce-subject", "notifications.broadcast", "X-Original-URL", "/publish/notifications.broadcast")
	const eventStream, cloudEvent = "text/event-stream", "application/cloudevents+json"
	stream := func(name, subject string, want []int, header ...string) {
		out = append(out, post("an event stream "+name, "/publish/"+subject, "data: x\n\n", want, append(header, "Content-Type", eventStream)...))
	}
	stream("without a key", "notifications.broadcast", unknown)
	stream("with a strange key", "notifications.broadcast", unknown, "X-API-Key", strange)
	stream("with a key for others", "notifications.user.alice", forbidden, "X-API-Key", key)
	stream("to a subject hidden by an encoding", "notifications%2Euser%2Ealice", forbidden, "X-API-Key", key)
	stream("that ends a subject of others", "notifications.user.alice?end=1", forbidden, "X-API-Key", key)
	stream("of another subject in the header", "notifications.user.alice", bad, "X-API-Key", key, "ce-subject", "notifications.broadcast")
	out = append(out, post("an event stream for a user with a key for others", "/publish?user=alice", "data: x\n\n", forbidden, "X-API-Key", key, "Content-Type", eventStream))
	event := func(subject string) string {
		return `{"specversion":"1.0","id":"1","source":"/x","type":"t","subject":"` + subject + `","data":"x"}`
	}
	add("a CloudEvent without a key", event("notifications.broadcast"), unknown, "Content-Type", cloudEvent)
	add("a CloudEvent with a key for others", event("notifications.user.alice"), forbidden, "X-API-Key", key, "Content-Type", cloudEvent)
	add("a batch of CloudEvents of which one is not allowed", `[`+event("notifications.broadcast")+`,`+event("notifications.user.alice")+`]`, forbidden, "X-API-Key", key, "Content-Type", "application/cloudevents-batch+json")
	add("a CloudEvent in headers with a key for others", "x", forbidden, "X-API-Key", key, "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/x", "ce-type", "t", "ce-subject", "notifications%2Euser.alice")
	add("an end with a key for others", `{"subject":"notifications.user.alice","end":true}`, forbidden, "X-API-Key", key)
	out = append(out, post("with a good key", "/publish", broadcastX, streams, "X-API-Key", key))
	out[len(out)-1].stored = 1
	return out
}

// openPublishAttacks publish invalid events where publishing needs no identity.
func openPublishAttacks() (out []attack) {
	for _, subject := range []string{
		"$JS.API.STREAM.DELETE.NOTIFICATIONS", "$SYS.REQ.SERVER.PING", "_INBOX.x", "$KV.a.b", ">", "*", "notifications.*", "notifications.>", "notifications.user.>",
		"", ".", "notifications.", ".notifications.a", "notifications..a", "notifications.a b", `notifications.a\r\nPUB x 1`, `notifications.a\u0000`, `notifications.a\u2028`, `notifications.\u00a0`,
		"notifications.topic." + strings.Repeat("a", 1010), "tidemark.revoke", "tidemark.presence.connected", "tidemark.x",
	} {
		out = append(out, post("subject "+subject[:min(len(subject), 40)], "/publish", `{"subject":"`+subject+`","data":"x"}`, []int{400}))
	}
	for _, subject := range []string{
		"tidemark", "other.x", "notifications", "Notifications.a", "notifications\uff0ea", "notifications.other." + strings.Repeat("a", 300),
		"notifications.user", "notifications.user.a.b", "notifications.user.alice.b@example.com", "notifications.broadcast.x", "notifications.city.a.b", "notifications.topic",
		"notifications.user.%61lice", "notifications.user.alic%65", "notifications.user.a%2eb", "notifications.user.a%40b", "notifications.user.100%", "notifications.topic.a.%zz", "notifications%2Euser.alice",
	} {
		out = append(out, post("undeliverable subject "+subject[:min(len(subject), 40)], "/publish", `{"subject":"`+subject+`","data":"x"}`, undeliverable))
	}
	for name, c := range map[string]struct {
		query, body string
		want        []int
		stored      uint64
	}{
		"empty": {"", `{"user":"","data":"x"}`, bad, 0}, "null": {"", `{"user":null,"subject":"notifications.broadcast"}`, bad, 0}, "a list": {"", `{"user":["alice"]}`, bad, 0},
		"and a subject": {"", `{"user":"x","subject":"notifications.broadcast"}`, bad, 0}, "twice": {"", `{"user":"x","user":"alice"}`, bad, 0}, "half a pair": {"", `{"user":"alice\ud800"}`, bad, 0},
		"too long": {"", `{"user":"` + strings.Repeat("a", 256) + `"}`, bad, 0}, "wildcard": {"", `{"user":"*","data":"x"}`, streams, 1}, "dots": {"", `{"user":"alice.","data":"x"}`, streams, 1},
		"in the query, empty": {"?user=", "x", bad, 0}, "in the query, twice": {"?user=x&user=alice", "x", bad, 0}, "in the query, not UTF-8": {"?user=alice%ff", "x", bad, 0},
		"in the query, a wildcard": {"?user=%3E", "x", streams, 1}, "in the query, no body": {"?user=x", "", bad, 0},
	} {
		a := post("to a user "+name, "/publish"+c.query, c.body, c.want)
		a.stored = c.stored
		out = append(out, a)
	}
	out = append(out, publishBodyAttacks()...)
	out = append(out, ingestAttacks()...)
	out = append(out, cloudEventAttacks()...)
	for _, typ := range []string{
		"tidemark.open", "tidemark.close", "tidemark.gap", "tidemark.", "error", "open", `a\r\ndata: x`, `a\n`, `a\r`, `a\u0000`, ` a`, `a\t`, `a\u2028b`, `a\u0085b`, strings.Repeat("a", 129),
	} {
		out = append(out, post("type "+typ[:min(len(typ), 40)], "/publish", `{"subject":"notifications.broadcast","event":"`+typ+`","data":"x"}`, []int{400}))
		out = append(out, post("by send-message type "+typ[:min(len(typ), 40)], "/api/events/send-message", `{"eventType":"`+typ+`","message":"x"}`, []int{400}))
	}
	for _, id := range []string{`a\r\nNats-Rollup: all`, `a\n`, `a\u0000`, `a\u0085`, strings.Repeat("i", 257)} {
		out = append(out, post("id "+id[:min(len(id), 40)], "/publish", `{"subject":"notifications.broadcast","id":"`+id+`","data":"x"}`, []int{400}))
	}
	for _, user := range []string{`"*"`, `">"`, `"a.b"`, `"."`, `"a b"`, `"a\n"`} {
		a := post("by send-message to "+user, "/api/events/send-message", `{"userId":`+user+`,"message":"x"}`, streams)
		a.stored = 1
		out = append(out, a)
	}
	for _, user := range []string{`""`, `"a\ud800"`, `1.5`, `[]`, `{}`, `true`, `"` + strings.Repeat("a", 256) + `"`} {
		out = append(out, post("by send-message to "+user[:min(len(user), 40)], "/api/events/send-message", `{"userId":`+user+`,"message":"x"}`, []int{400}))
	}
	for _, body := range []string{
		`{"message":"x"}`, `{"userId":null,"message":"x"}`, `{"user_id":"42","message":"x"}`, `{"userIds":["42"],"message":"x"}`, `{"userId":"42","userId":"43","message":"x"}`,
		`{"userid":"42","message":"x"}`, `{"UserID":"42","broadcast":true,"message":"x"}`, `{"broadcast":null,"message":"x"}`, `{"broadcast":"yes","message":"x"}`, `{"broadcast":true,"userId":"42","message":"x"}`,
		`{"broadcast":false,"message":"x"}`, `{"user":{"id":"42"},"broadcast":true,"message":"x"}`, `{"broadcast":true,"message":"x","to":"42"}`,
	} {
		out = append(out, post("by send-message "+body, "/api/events/send-message", body, []int{400}))
	}
	for i, body := range []string{
		`{"subject":"notifications.broadcast","subject":"notifications.user.alice","data":"x"}`, `{"subject":"notifications.broadcast","Subject":"notifications.user.alice","data":"x"}`,
		`{"subject":"notifications.user.\ud800","data":"x"}`, `{"subject":"notifications.broadcast","id":" a","data":"x"}`, `{"subject":"notifications.broadcast","id":"a ","data":"x"}`,
		`null`, `[]`, `[null]`, `[[]]`, `42`, `"x"`, `{`, `{"subject":"notifications.broadcast"`, broadcastX + broadcastX, broadcastX + `]`, "\xff", " ", "\x00",
		`{"subject":["notifications.broadcast"],"data":"x"}`, `{"subject":"notifications.broadcast","data":"x","to":"alice"}`, strings.Repeat("[", 20_000), `<a/>`,
	} {
		out = append(out, post(fmt.Sprintf("body %d %.20s", i, body), "/publish", body, []int{400}))
	}
	foreign := func(name, path string, header ...string) {
		out = append(out, post(name, path, broadcastX, forbidden, header...))
	}
	foreign("from a foreign page", "/publish", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
	foreign("from a foreign page by the fetch header alone", "/publish", "Sec-Fetch-Site", "cross-site")
	foreign("from a neighbouring page", "/publish", "Sec-Fetch-Site", "same-site")
	foreign("from a foreign origin", "/publish", "Origin", "https://evil.example")
	foreign("from the origin null", "/publish", "Origin", "null")
	foreign("from a lookalike origin", "/publish", "Origin", "http://127.0.0.1.evil.example")
	foreign("from a foreign page by send-message", "/api/events/send-message", "Sec-Fetch-Site", "cross-site", "Content-Type", "text/plain")
	return append(out,
		post("batch of which one is foreign", "/publish", `[`+broadcastX+`,{"subject":"other.x","data":"x"}]`, undeliverable),
		post("batch too long", "/publish", `[`+strings.Repeat(broadcastX+`,`, 1000)+broadcastX+`]`, bad),
		post("body too long", "/publish", strings.Repeat(" ", 1<<20)+broadcastX, tooLarge),
		post("idempotency key too long", "/publish", broadcastX, bad, "Idempotency-Key", strings.Repeat("k", 257)),
		post("idempotency key not UTF-8", "/publish", broadcastX, bad, "Idempotency-Key", "\xff"),
		post("idempotency key with a next line", "/publish", broadcastX, bad, "Idempotency-Key", "a\u0085b"),
		attack{name: "publish with an idempotency key of two lines", raw: "POST /publish HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nIdempotency-Key: a\rNats-Rollup: all\r\nContent-Length: 48\r\n\r\n" + broadcastX, want: bad, plain: true},
		attack{name: "publish by GET", path: "/publish?subject=notifications.broadcast&data=x", want: []int{405}},
		attack{name: "publish by PUT", method: http.MethodPut, path: "/publish", body: broadcastX, want: []int{405}},
		attack{name: "publish by an overridden method", path: "/publish", header: []string{"X-HTTP-Method-Override", "POST"}, body: broadcastX, want: []int{405}},
		attack{name: "publish to a feed", method: http.MethodPost, path: "/events", body: broadcastX, want: []int{405}},
	)
}

// publishBodyAttacks are those of POST /publish/{subject}: paths and headers.
func publishBodyAttacks() (out []attack) {
	for subject, want := range map[string][]int{
		"": bad, "*": bad, ">": bad, "notifications.*": bad, "notifications.%2A": bad, "notifications.user.%3E": bad, "%3E": bad, ".": bad, "notifications.": bad, "notifications..a": bad, "notifications%2E%2Ea": bad,
		"$JS.API.STREAM.DELETE.NOTIFICATIONS": bad, "%24JS.API.STREAM.PURGE.NOTIFICATIONS": bad, "$SYS.REQ.SERVER.PING": bad, "$KV.a.b": bad, "_INBOX.x": bad, "tidemark.revoke": bad, "tidemark%2Erevoke": bad, "%74idemark.revoke": bad,
		"notifications.%00": bad, "notifications.a%0D%0APUB%20x%201": bad, "notifications.a%20b": bad, "notifications.a%09b": bad, "notifications.%E2%80%A8": bad, "notifications.%C2%A0": bad, "notifications.%ff": bad, "notifications.a?user=x": bad, "notifications.broadcast?user=": bad, "notifications.broadcast?user=%ff": bad,
		"notifications.user.a%252eb": undeliverable, "notifications.user.a%2540b": undeliverable, "notifications.user.%2561": undeliverable, "notifications.user.a%252": undeliverable, "notifications.user.a.b": undeliverable, "notifications.user.alice%2Eb": undeliverable,
		"notifications.other": undeliverable, "other.x": undeliverable, "/notifications.broadcast": undeliverable, "../publish": bad, "notifications.broadcast/": undeliverable, "tidemark": undeliverable,
	} {
		out = append(out, post("a body to "+subject, "/publish/"+subject, "x", want))
	}
	for name, header := range map[string][]string{
		"reserved type":            {"Event-Type", "tidemark.close"},
		"two types":                {"Event-Type", "a", "event-type", "b"},
		"type of EventSource":      {"ce-type", "error"},
		"reserved type of ce-":     {"CE-TYPE", "tidemark.revoked"},
		"reserved type, encoded":   {"ce-type", "tidemark%2Eclose"},
		"reserved type, quoted":    {"ce-type", `"tidemark.close"`},
		"reserved type beside own": {"ce-type", "tidemark.close", "Event-Type", "fine"},
		"lines in a type":          {"ce-type", "a%0D%0ANats-Rollup:%20all"},
		"lines in an id":           {"ce-id", "a%0ANats-Rollup:%20all"},
		"lines in an attribute":    {"ce-x", "a%0d%0aNats-TTL: 1"},
		"NUL in an attribute":      {"ce-x", "%00"},
		"attribute twice":          {"ce-x", "1", "Ce-X", "2"},
		"attribute not UTF-8":      {"ce-x", "%C3%28"},
		"attribute cut":            {"ce-x", "%"},
		"attribute that is a name": {"ce-nats-rollup", "all"},
		"id too long":              {"ce-source", "s", "ce-id", strings.Repeat("i", 257)},
		"lifetime of nothing":      {"Nats-TTL", "0"},
		"lifetime below zero":      {"Nats-TTL", "-1"},
		"lifetime without end":     {"Nats-TTL", "never"},
		"lifetime beyond numbers":  {"Nats-TTL", "99999999999999999999"},
		"two lifetimes":            {"Nats-TTL", "1h", "nats-ttl", "1s"},
		"two content types":        {"Content-Type", "a/b", "Content-Type", "c/d"},
		"content type not UTF-8":   {"Content-Type", "a/\xff"},
	} {
		out = append(out,
			post("a body with "+name, "/publish/notifications.broadcast", "x", bad, header...),
			post("a body for a user with "+name, "/publish?user=x", "x", bad, header...))
	}
	for name, header := range map[string][]string{
		"a rollup":            {"Nats-Rollup", "all"},
		"a rollup by ce-":     {"ce-rollup", "all", "ce-specversion", "1.0", "ce-id", "rollup", "ce-source", "/x", "ce-type", "t"},
		"an expected stream":  {"Nats-Expected-Stream", "OTHER"},
		"an expected message": {"Nats-Expected-Last-Msg-Id", "x"},
		"a message id":        {"Nats-Msg-Id", "x"},
		"a schedule":          {"Nats-Schedule", "@at 2030-01-01T00:00:00Z", "Nats-Schedule-Target", "tidemark.revoke"},
		"an increment":        {"Nats-Incr", "+1"},
	} {
		a := post("a body with "+name, "/publish/notifications.user.nobody", "x", streams, header...)
		a.stored = 1
		out = append(out, a)
	}
	return append(out,
		post("a body without data", "/publish/notifications.broadcast", "", bad),
		post("a body not UTF-8", "/publish/notifications.broadcast", "\xff", bad),
		post("a body too long", "/publish/notifications.broadcast", strings.Repeat("x", 1<<20+1), tooLarge),
		post("a body from a foreign page", "/publish/notifications.broadcast", "x", forbidden, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"),
		post("a body to an encoded path", "/publish%2Fnotifications.broadcast", "x", []int{404}),
		attack{name: "publish a body by GET", path: "/publish/notifications.broadcast", want: []int{405}},
		attack{name: "publish a body by PUT", method: http.MethodPut, path: "/publish/notifications.broadcast", body: "x", want: []int{405}},
		attack{name: "publish a body with a path of NUL", raw: "POST /publish/notifications.\x00 HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", want: bad, plain: true},
	)
}

// ingestAttacks are those of event streams as bodies.
func ingestAttacks() (out []attack) {
	const path, event = "/publish/notifications.user.nobody", "data: x\n\n"
	add := func(name, path, body string, want []int, stored uint64, header ...string) {
		a := post("an event stream "+name, path, body, want, append(header, "Content-Type", "text/event-stream")...)
		a.stored = stored
		out = append(out, a)
	}
	for name, body := range map[string]string{
		"with a reserved type":             "event: tidemark.close\ndata: x\n\n",
		"with a reserved type, later":      "event: a\nevent: tidemark.open\ndata: x\n\n",
		"with the type of failures":        "event: error\ndata: x\n\n",
		"with NUL in a type":               "event: a\x00b\ndata: x\n\n",
		"with a next line in a type":       "event: a\u0085b\ndata: x\n\n",
		"with a type too long":             "event: " + strings.Repeat("e", 129) + "\ndata: x\n\n",
		"with data that are not UTF-8":     "data: \xff\n\n",
		"with a type that is not UTF-8":    "event: \xff\ndata: x\n\n",
		"that ends within an event":        "data: y\n",
		"that ends within a line":          "data: y",
		"that ends within its end":         "data: [DONE]\n",
		"of another type than it declares": "{\"subject\":\"notifications.broadcast\"}",
	} {
		add(name, path, event+body, bad, 1)
	}
	add("with an event too large", path, event+"data: "+strings.Repeat("x", 1<<20+1)+"\n\n", tooLarge, 1)
	add("with many lines in one event", path, event+strings.Repeat("data\n", 1<<20+1)+"\n", tooLarge, 1)
	add("with a line that does not end", path, strings.Repeat("x", 1<<20+1), tooLarge, 0)
	add("with ids and delays", path, "id: tidemark\nretry: 0\nid: 99-zzzzzz\n"+event, streams, 1)
	add("of comments", path, strings.Repeat(": x\n", 10_000), streams, 0)
	add("of empty lines", path, strings.Repeat("\n", 100_000), bad, 0)
	for subject, want := range map[string][]int{
		"": bad, "notifications.*": bad, "notifications.%3E": bad, "notifications%2E%2Ea": bad, "tidemark%2Erevoke": bad, "%24JS.API.STREAM.PURGE.NOTIFICATIONS": bad,
		"notifications.a%0D%0APUB%20x%201": bad, "notifications.%00": bad, "notifications.user.a%252eb": undeliverable, "notifications.user.a%2540b": undeliverable, "notifications.user.a%2Eb": undeliverable, "other.x": undeliverable,
		"notifications.broadcast?user=x": bad, "notifications.broadcast?end=yes": bad, "notifications.broadcast?end=1&end=1": bad, "notifications.broadcast?end_on=a&end_on=b": bad, "notifications.broadcast?end_on=%ff%": bad,
	} {
		add("to "+subject, "/publish/"+subject, event, want, 0)
	}
	for name, header := range map[string][]string{
		"with a reserved type in the header": {"Event-Type", "tidemark.close"}, "with attributes of a CloudEvent": {"ce-type", "a"}, "with a key too long": {"Idempotency-Key", strings.Repeat("k", 257)},
		"with two content types": {"Content-Type", "text/plain"}, "with a lifetime without end": {"Nats-TTL", "never"}, "with two keys": {"Idempotency-Key", "a", "idempotency-key", "b"},
	} {
		add(name, path, event, bad, 0, header...)
	}
	add("with headers of JetStream", path, event, streams, 1, "Nats-Rollup", "all", "Tidemark-End", "1", "Nats-Msg-Id", "x")
	add("without a subject", "/publish", event, bad, 0)
	add("for an empty user", "/publish?user=", event, bad, 0)
	add("to another form", "/api/events/send-message", event, bad, 0)
	// Browsers send text/plain and forms to other origins without a preflight request, and never these types. A page has the
	// cookies of its user in all of them.
	for _, content := range []string{"text/event-stream", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/cloudevents+json", "application/cloudevents-batch+json"} {
		for name, header := range map[string][]string{
			"from a foreign page":      {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
			"from a neighbouring page": {"Sec-Fetch-Site", "same-site"},
			"from a sandbox":           {"Origin", "null"},
		} {
			for _, path := range []string{"/publish", "/publish?user=alice", path, path + "?end=1"} {
				out = append(out, post(content+" to "+path+" "+name, path, event, forbidden, append(header, "Content-Type", content, "Cookie", "token=x")...))
			}
		}
	}
	chunked := func(name, chunks string, want []int, stored uint64) {
		out = append(out, attack{
			name: "publish an event stream in chunks " + name, want: want, stored: stored,
			raw: "POST " + path + " HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks,
		})
	}
	chunked("with an invalid chunk", "9\r\ndata: x\n\n\r\nzz\r\n", bad, 1)
	chunked("that never begins", "", []int{408}, 0)
	chunked("that never ends", "9\r\ndata: x\n\n\r\n", []int{408}, 1)
	chunked("with more behind its end", "e\r\ndata: [DONE]\n\n\r\n9\r\ndata: x\n\n\r\n0\r\n\r\n", streams, 1)
	return out
}

// cloudEventAttacks are those of CloudEvents in JSON, and in the headers of /publish.
func cloudEventAttacks() (out []attack) {
	event := func(member, value string) string {
		members := map[string]string{"specversion": `"1.0"`, "id": `"1"`, "source": `"/x"`, "type": `"t"`, "subject": `"notifications.user.nobody"`, "data": `"x"`}
		members[member] = value
		var text []string
		for _, name := range []string{"specversion", "id", "source", "type", "subject", "data", member} {
			if v, ok := members[name]; ok {
				text = append(text, `"`+name+`":`+v)
				delete(members, name)
			}
		}
		return "{" + strings.Join(text, ",") + "}"
	}
	for _, c := range []struct {
		member string
		values []string
		want   []int
	}{
		{"subject", []string{`""`, `"*"`, `"notifications.>"`, `"tidemark.revoke"`, `"$JS.API.STREAM.DELETE.NOTIFICATIONS"`, `"_INBOX.x"`, `"notifications.a\r\nPUB x 1"`, `"notifications.\u0000"`, `"notifications.\ud800"`, `"notifications..a"`, `7`, `{}`, `null`, `["notifications.broadcast"]`}, bad},
		{"subject", []string{`"other.x"`, `"notifications.user.a%2eb"`, `"notifications.user.a%40b"`, `"notifications.user.a.b"`, `"notifications%2Ebroadcast"`}, undeliverable},
		{"type", []string{`"tidemark.close"`, `"error"`, `"open"`, `"a\nb"`, `"a\u0000"`, `" a"`, `""`, `null`, `"` + strings.Repeat("t", 129) + `"`}, bad},
		{"id", []string{`""`, `"a\r\nNats-Rollup: all"`, `" a"`, `"` + strings.Repeat("i", 257) + `"`, `{}`}, bad},
		{"source", []string{`""`, `"a\nb"`, `"http://[x"`, `[]`}, bad},
		{"time", []string{`"now"`, `"2026-11-27"`, `"2026-11-27T10:00:00Z\r\nNats-Rollup: all"`}, bad},
		{"specversion", []string{`"0.3"`, `1.0`, `"2"`, `""`}, bad},
		{"datacontenttype", []string{`"a/b\r\nNats-Rollup: all"`, `"a\u0000"`}, bad},
		{"data_base64", []string{`"AA=="`, `"?"`}, bad},
		{"Nats-Rollup", []string{`"all"`}, bad}, {"x y", []string{`"1"`}, bad}, {"tidemark-end", []string{`"1"`}, bad}, {"Type", []string{`"tidemark.close"`}, bad}, {"x", []string{`1.5`, `{}`, `"\u2028"`}, bad},
	} {
		for _, value := range c.values {
			body := event(c.member, value)
			name := fmt.Sprintf("with %s %.30s", c.member, value)
			out = append(out,
				post("a CloudEvent "+name, "/publish", body, c.want, "Content-Type", "application/cloudevents+json"),
				post("a batch of CloudEvents "+name, "/publish", "["+event("id", `"2"`)+","+body+"]", c.want, "Content-Type", "Application/CloudEvents-Batch+JSON"))
		}
	}
	headers := func(more ...string) []string {
		return append([]string{"ce-specversion", "1.0", "ce-id", "1", "ce-source", "/x"}, more...)
	}
	for name, header := range map[string][]string{
		"without a subject":       headers("ce-type", "t"),
		"without a type":          headers("ce-subject", "notifications.user.nobody"),
		"with two subjects":       headers("ce-type", "t", "ce-subject", "notifications.user.nobody", "CE-Subject", "notifications.broadcast"),
		"with a wildcard":         headers("ce-type", "t", "ce-subject", "notifications.%3E"),
		"with lines in a subject": headers("ce-type", "t", "ce-subject", "notifications.a%0D%0APUB"),
		"with a reserved subject": headers("ce-type", "t", "ce-subject", "tidemark%2Erevoke"),
		"with a reserved type":    headers("ce-type", "tidemark%2Eclose", "ce-subject", "notifications.user.nobody"),
		"with a time that is not": headers("ce-type", "t", "ce-subject", "notifications.user.nobody", "ce-time", "now"),
		"of another version":      {"ce-specversion", "0.3", "ce-id", "1", "ce-source", "/x", "ce-type", "t", "ce-subject", "notifications.user.nobody"},
	} {
		out = append(out, post("a CloudEvent in headers "+name, "/publish", "x", bad, header...))
	}
	good := post("a CloudEvent in headers", "/publish", "x", streams, headers("ce-type", "t", "ce-subject", "notifications.user.nobody")...)
	good.stored = 1
	return append(out, good)
}
