package loadtest

import (
	"fmt"
	"net/http"
	"strings"
)

// formOf returns the form of a request, as Tidemark negotiates it.
func formOf(r *http.Request) Form {
	switch accept := r.Header.Get("Accept"); {
	case accept == "application/json":
		return FormJSON
	case accept == "application/x-ndjson":
		return FormNDJSON
	case r.URL.Query().Get("envelope") == "1":
		return FormEnvelope
	default:
		return FormSSE
	}
}

// hello returns a heartbeat.
func (f Form) hello() string {
	if f == FormNDJSON {
		return "\n"
	}
	return ": hello\n\n"
}

// frame returns an event in a form. Events of pages end with a comma.
func (f Form) frame(kind, data string, seq int) string {
	text := fmt.Sprintf(`{"text":"%s"}`, data)
	envelope := fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"DOUBLE","type":"%s","subject":"s","datacontenttype":"application/json","data":%s}`, seq, kind, text)
	switch f {
	case FormNDJSON:
		return envelope + "\n"
	case FormJSON:
		return envelope + ","
	case FormEnvelope:
		text = envelope
	}
	return fmt.Sprintf("event: %s\ndata: %s\nid: %d\n\n", kind, text, seq)
}

// eventsOfPage bounds the pages, so that clients poll often.
const eventsOfPage = 20

// poll answers with a page after a sequence; 0 is the end. It waits for the first event on request. A gap begins a page.
func (d *fakeServer) poll(w http.ResponseWriter, r *http.Request, seq int) {
	events, changed := d.after(seq)
	if r.Header.Get("Last-Event-ID") == "" && !d.faults.replayAll {
		seq += len(events)
		events = nil
	}
	if r.URL.Query().Get("wait") != "0" && len(events) == 0 {
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
		events, _ = d.after(seq)
	}
	var page strings.Builder
	gaps := ""
	for i, ev := range events {
		if i == eventsOfPage || page.Len() > 0 && every(d.faults.drop, seq+1) {
			break
		}
		seq++
		if every(d.faults.drop, seq) && d.faults.announce {
			gaps = `{"reason":"deleted"}`
			continue
		}
		d.write(&page, r.PathValue("user"), ev, seq, FormJSON)
	}
	fmt.Fprintf(w, `{"events":[%s],"position":"%d","gaps":[%s],"more":false}`+"\n", strings.TrimSuffix(page.String(), ","), seq, gaps)
}
