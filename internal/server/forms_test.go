package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"testing"
)

// A poll leaves its connection open for the next one, also after a wait and after a refusal.
func TestPoll_Repeated_UsesOneConnection(t *testing.T) {
	r := newHarness(t, nil)
	transport := &http.Transport{MaxConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	reused, position := 0, ""
	for n := range 6 {
		trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
			if info.Reused {
				reused++
			}
		}}
		query, want := "?user=42&last_event_id="+position, http.StatusOK
		switch n {
		case 2:
			query += "&wait=1"
		case 3:
			query, want = query+"&wait=nonsense", http.StatusBadRequest
		}
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, r.base+"/events"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "application/json")
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != want {
			t.Fatalf("poll %d: %s, %s, %v", n, resp.Status, text, err)
		}
		var page struct{ Position string }
		if err := json.Unmarshal(text, &page); err != nil || want == http.StatusOK && page.Position == "" {
			t.Fatalf("poll %d: %s, %v", n, text, err)
		}
		if page.Position != "" {
			position = page.Position
		}
	}
	if reused != 5 {
		t.Errorf("%d of 5 polls used the connection of the first", reused)
	}
}
