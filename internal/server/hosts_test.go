package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/server"
)

// TestHosts_NameNotServed_IsRefusedAtEveryRoute checks that pages whose name was rebound to this node receive 421,
// also at the feeds that the engine serves, and that the refusals are logged.
func TestHosts_NameNotServed_IsRefusedAtEveryRoute(t *testing.T) {
	r := newHarness(t, func(o *server.Options) {
		withAdmin(o)
		o.Docs = true
		o.HTTP.Hosts = []string{"events.example.com", "*.app.example.com"}
	})
	urls := []string{r.admin("/metrics"), r.admin("/healthz"), r.admin("/admin/status"), r.admin("/debug/pprof/")}
	for _, path := range []string{"/events", "/events?user=1", "/publish", "/healthz", "/readyz", "/", "/client.js", "/docs", "/openapi.json", "/connections", "/nothing"} {
		urls = append(urls, r.base+path)
	}
	refused := 0
	for _, url := range urls {
		for host, ok := range map[string]bool{
			"rebound.example": false, "example.com": false, "192.0.2.1:80": false,
			"localhost:8080": true, "events.example.com": true, "x.app.example.com:443": true,
		} {
			resp, _ := r.request("HEAD", url, "", "Host", host)
			if got := resp.StatusCode == http.StatusMisdirectedRequest; got == ok {
				t.Errorf("%s for %s: %d", url, host, resp.StatusCode)
			}
			if !ok {
				refused++
				resp, body := r.request("GET", url, "", "Host", host)
				refused++
				if resp.StatusCode != http.StatusMisdirectedRequest || !strings.Contains(string(body), "http.hosts") {
					t.Errorf("GET %s for %s: %d %s", url, host, resp.StatusCode, body)
				}
			}
		}
	}
	r.eventuallyScrape(map[string]float64{`rejections_total{reason="host"}`: float64(refused)})
}

func TestBasePath_Set_EveryRouteLiesBelow(t *testing.T) {
	r := newHarness(t, func(o *server.Options) { o.Docs = true })
	r.stop()
	opts := options(t, r.nc.ConnectedUrl())
	opts.Docs, opts.HTTP.BasePath = true, "/live/tidemark"
	below := startNode(t, opts)
	root := below.base
	below.base += "/live/tidemark"
	below.awaitReady()
	for _, path := range []string{"/", "/healthz", "/readyz", "/client.js", "/console/console.js", "/console/settings.json", "/docs", "/docs/init.js", "/openapi.json"} {
		for _, method := range []string{"GET", "HEAD"} {
			if resp, body := below.request(method, below.base+path, ""); resp.StatusCode != http.StatusOK {
				t.Errorf("%s %s: %d %s", method, path, resp.StatusCode, body)
			}
			if resp, _ := below.request(method, root+path, ""); resp.StatusCode != http.StatusNotFound {
				t.Errorf("%s %s without the base: %d", method, path, resp.StatusCode)
			}
		}
	}
	if _, body := below.request("GET", below.base+"/console/settings.json", ""); !strings.Contains(string(body), `"/live/tidemark/events"`) {
		t.Errorf("the console does not have the base: %s", body)
	}
	if _, body := below.request("GET", below.base+"/openapi.json", ""); !strings.Contains(string(body), `"servers":[{"url":"/live/tidemark"}]`) {
		t.Errorf("openapi.json: %.200s", body)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(root + "/live/tidemark?user=7")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusPermanentRedirect || got != "/live/tidemark/?user=7" {
		t.Errorf("the base itself: %d to %q", resp.StatusCode, got)
	}
	for _, path := range []string{"/live/tidemarkevents", "/live/tidemark/../events", "/live%2Ftidemark/healthz", "//live/tidemark/healthz", "/live/tidemark//healthz"} {
		if resp, _ := below.request("GET", root+path, ""); resp.StatusCode == http.StatusOK {
			t.Errorf("%s is served", path)
		}
	}
	l := below.listen("/events?user=7", "")
	l.want("tidemark.open")
	below.post("/publish", `{"subject":"notifications.user.7","data":"below"}`)
	l.want("below")
}

// TestBanner_NATSLogin_IsNotPrinted checks the banner, which may be in the logs of containers.
func TestBanner_NATSLogin_IsNotPrinted(t *testing.T) {
	url, _ := startNATS(t, "127.0.0.1:0", t.TempDir())
	host := strings.TrimPrefix(url, "nats://")
	for _, with := range []string{"nats://alice:hunter2@" + host, "nats://hunter2@" + host, "nats://alice:hunter2%2Fx@" + host, "alice:hunter2@" + host, url + ",nats://alice:hunter2@127.0.0.1:1"} {
		srv, err := server.New(t.Context(), options(t, with))
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := srv.WriteBanner(&out); err != nil || strings.Contains(out.String(), "hunter2") || !strings.Contains(out.String(), host) {
			t.Errorf("%s: %v %s", with, err, out.String())
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := srv.Run(ended); err != nil { // releases everything
			t.Error(err)
		}
	}
}
