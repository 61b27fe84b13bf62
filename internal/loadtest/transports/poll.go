package transports

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// poller is a client that requests the events after the last one that it received. Its requests share
// a connection, which is the best case: a new connection would add a handshake.
type poller struct {
	client *http.Client
	url    string
	header http.Header
	after  string
}

func newPoller(w *endpoint, h http.Header) poller {
	return poller{client: w.client, url: w.url + "/poll", header: h, after: position(0)}
}

// poll sends a request and returns the event, or a heartbeat when there is none.
func (p *poller) poll(ctx context.Context) delivery {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"?after="+url.QueryEscape(p.after), nil)
	if err != nil {
		return delivery{err: err}
	}
	req.Header = p.header
	resp, err := p.client.Do(req)
	if err != nil {
		return delivery{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body) // to its end: the connection cannot be used again otherwise
	if err != nil {
		return delivery{err: err}
	}
	switch resp.StatusCode {
	case http.StatusNoContent:
		return delivery{heartbeat: true}
	case http.StatusOK:
		m, err := decode(text)
		p.after = m.ID
		return delivery{message: m, err: err}
	}
	return delivery{err: fmt.Errorf("the endpoint answered %s", resp.Status)}
}

// respond answers a poll with an event, or without content.
func respond(w http.ResponseWriter, m *message) {
	w.Header().Set("Cache-Control", "no-store")
	if m == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(m.encode())
}
