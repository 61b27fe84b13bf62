package tidemark_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"testing"

	"github.com/tidemark/tidemark/internal/tlsconfig"
)

// With TLS the events arrive over both protocols, also on a connection that has had other requests before.
func TestServeTLS_EachProtocol_ServesEvents(t *testing.T) {
	n := startNATS(t)
	f := n.open(t, newsOptions())
	secure, err := tlsconfig.Open(tlsconfig.Options{SelfSigned: true})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /events", f)
	mux.HandleFunc("GET /page", func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			http.Error(w, "the request has no TLS", http.StatusInternalServerError)
		}
	})
	l := listen(t)
	ended := make(chan error, 1)
	go func() { ended <- f.ServeTLS(l, mux, secure.Config()) }()
	t.Cleanup(func() {
		f.Close()
		if err := <-ended; err != nil && !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("ServeTLS returned %v", err)
		}
	})
	url := "https://" + l.Addr().String()
	for major, h2 := range map[int]bool{1: false, 2: true} {
		tr := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		tr.Protocols.SetHTTP1(!h2)
		tr.Protocols.SetHTTP2(h2)
		t.Cleanup(tr.CloseIdleConnections)
		client := &http.Client{Transport: tr}
		publish(t, f, "news.all", 1)
		for range 3 {
			resp, err := client.Get(url + "/page") //nolint:noctx // it ends with the server
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK || resp.ProtoMajor != major {
				t.Errorf("%s %s", resp.Proto, resp.Status)
			}
			if ev := connect(t, client, url+"/events?from=1").next(t, ""); string(ev.Data) != "1" {
				t.Errorf("received %s", ev.Data)
			}
		}
	}
}
