package transports

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// poller is a client that asks for what comes after the last event that it got. Its requests
// share a connection, which is the best case: a poll that needs a new one costs a handshake
// more.
type poller struct {
	client *http.Client
	url    string
	header http.Header
	after  string
}

func newPoller(w *wire, h http.Header) poller {
	return poller{client: w.client, url: w.url + "/poll", header: h, after: position(0)}
}

// ask returns the event, or a sign of life when there is none.
func (p *poller) ask(ctx context.Context) arrival {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"?after="+url.QueryEscape(p.after), nil)
	if err != nil {
		return arrival{err: err}
	}
	req.Header = p.header
	resp, err := p.client.Do(req)
	if err != nil {
		return arrival{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body) // to its end, or the connection could not be used again
	if err != nil {
		return arrival{err: err}
	}
	return p.understand(resp, text)
}

func (p *poller) understand(resp *http.Response, text []byte) arrival {
	switch resp.StatusCode {
	case http.StatusNoContent:
		return arrival{beat: true}
	case http.StatusOK:
		m, err := decode(text)
		p.after = m.ID
		return arrival{message: m, err: err}
	}
	return arrival{err: fmt.Errorf("the endpoint answered %s", resp.Status)}
}

// answer answers a poll with an event, or with nothing.
func answer(w http.ResponseWriter, m *message) {
	w.Header().Set("Cache-Control", "no-store")
	if m == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(m.encode())
}
