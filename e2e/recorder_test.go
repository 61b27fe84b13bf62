package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// recorder serves a page, from another origin than the service, that records the events of its EventSources.
func recorder(t *testing.T) (origin string) {
	t.Helper()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(recorderHTML))
	}))
	t.Cleanup(page.Close)
	return page.URL
}

const recorderHTML = `<!doctype html><meta charset="utf-8"><title>recorder</title><script>
'use strict';
const heard = [];
let revive = false; // makes another EventSource where one has given up
function follow(url, ...types) {
  const h = { events: [], opens: [], gaps: [], closes: [], errors: 0, revived: 0 };
  const begin = from => {
    const source = h.source = new EventSource(from);
    const listen = (type, take) => source.addEventListener(type, e => { h.last = e.lastEventId; take(e); });
    for (const type of ['message', ...types]) listen(type, e => h.events.push({ type: e.type, data: e.data, id: e.lastEventId }));
    listen('tidemark.open', e => h.opens.push(JSON.parse(e.data)));
    listen('tidemark.gap', e => h.gaps.push(JSON.parse(e.data)));
    listen('tidemark.close', e => h.closes.push(JSON.parse(e.data)));
    source.onerror = () => {
      h.errors++;
      if (!revive || source.readyState !== EventSource.CLOSED) return;
      h.revived++;
      setTimeout(() => begin(url + '&last_event_id=' + encodeURIComponent(h.last)), 200);
    };
  };
  begin(url);
  heard.push(h);
}
const numbers = i => heard[i].events.map(e => parseInt(e.data));
</script>`
