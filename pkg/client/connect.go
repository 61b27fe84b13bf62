package client

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/tidemark/tidemark/pkg/sse"
)

// connect requests the feed after position. The caller closes the body.
func (o Options) connect(ctx context.Context, feed *url.URL, position string, dog *watchdog) (io.ReadCloser, error) {
	resp, err := o.HTTPClient.Do(o.request(ctx, feed, position))
	if err != nil {
		return nil, withoutQuery(err)
	}
	body := watchedBody{resp.Body, dog}
	resp.Body = body
	if err := checkResponse(resp); err != nil {
		_ = body.Close()
		return nil, err
	}
	return body, nil
}

func (o Options) request(ctx context.Context, feed *url.URL, position string) *http.Request {
	u := *feed
	set := func(name, value string) {
		query := u.Query()
		query.Set(name, value)
		u.RawQuery = query.Encode()
	}
	if position == "" && o.From != "" {
		set("from", o.From)
	}
	if o.UntilEnd {
		set("until", "end")
	}
	req := &http.Request{Method: http.MethodGet, URL: &u, Host: u.Host, Header: o.header(position)}
	return req.WithContext(ctx)
}

func (o Options) header(position string) http.Header {
	h := o.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("Accept", sse.MediaType)
	h.Set("Cache-Control", "no-store")
	// By default net/http requests gzip, and a compressing proxy may delay events.
	h.Set("Accept-Encoding", "identity")
	if position != "" {
		h.Set("Last-Event-ID", position)
	}
	return h
}
