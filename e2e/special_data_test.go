package e2e_test

import (
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// received is an event as a page records it.
type received struct {
	Type string `json:"type"`
	Data string `json:"data"`
	ID   string `json:"id"`
}

// publishSpecialData stores data that simple servers and clients break: lines, emoji, text that looks like the
// wire format, names of types, and an event of 1 MB.
func (p *producer) publishSpecialData() (sent []received) {
	p.t.Helper()
	const unit = "0123456789 🌊 ~\n"
	const limit = 1<<20 - 200 // the stream accepts 1 MiB with the headers
	large := strings.Repeat(unit, limit/len(unit))
	for i, data := range []string{
		"plain", "", " leading space", "trailing newline\n", "\n\n", "two\nlines", "\nfirst empty", "event: fake\nid: 7\ndata: x\n\nretry: 1",
		"🌊🏄🏽‍♀️ \u00a0 \u2028 \ufeff", "\ufeffbom first", "null \x00 byte", `{"a":[1,"\n"]}`, large, "after the large one",
		"9007199254740993", ` {"b":1.0,"1":"\\\"}"} `,
	} {
		typ := []string{"message", "greeting", "größe.✓"}[i%3]
		msg := nats.NewMsg("notifications.user.42")
		msg.Data = []byte(data)
		if typ != "message" {
			msg.Header.Set("Event-Type", typ)
		}
		if _, err := p.js.PublishMsg(p.t.Context(), msg); err != nil {
			p.t.Fatal(err)
		}
		sent = append(sent, received{Type: typ, Data: data})
	}
	return sent
}

// wantData compares the events that a page has recorded in an array with all that were published. dropsNUL is for
// clients that drop U+0000.
func (p *tab) wantData(array string, want []received, dropsNUL bool) {
	p.t.Helper()
	p.await(array + ".length >= " + strconv.Itoa(len(want)))
	got := eval[[]received](p, array)
	for i, want := range want {
		if dropsNUL {
			want.Data = strings.ReplaceAll(want.Data, "\x00", "")
		}
		if got[i].Type != want.Type || got[i].Data != want.Data {
			p.t.Errorf("%s: event %d is %s %.80q (%d bytes), want %s %.80q (%d bytes)", p.engine, i,
				got[i].Type, got[i].Data, len(got[i].Data), want.Type, want.Data, len(want.Data))
		}
	}
	if len(got) != len(want) {
		p.t.Errorf("%s: %d events came, want %d", p.engine, len(got), len(want))
	}
	p.t.Logf("%s: %d events are exact", p.engine, len(got))
}
