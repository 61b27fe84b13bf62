package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// startPrometheus runs a Prometheus server that scrapes a node each second, and returns its URL.
func startPrometheus(t *testing.T, r *harness, args ...string) (base string) {
	t.Helper()
	binary, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not installed (apt-get install prometheus): no expression is evaluated")
	}
	rules, err := filepath.Abs(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs:\n  - {job_name: tidemark, static_configs: [{targets: [%q]}]}\n",
		rules, r.srv.AdminAddr())
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := freeAddr(t)
	cmd := exec.Command(binary, append(args, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)...)
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		http.DefaultClient.CloseIdleConnections()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return "http://" + addr
}

// query evaluates an expression, and returns the number of series in its result.
func query(base, expr string) (series int, err error) {
	resp, err := http.Get(base + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	var answer struct {
		Status, Error string
		Data          struct{ Result []json.RawMessage }
	}
	if err := json.Unmarshal(raw, &answer); err != nil || answer.Status != "success" {
		return 0, fmt.Errorf("%s: %w", raw, err)
	}
	return len(answer.Data.Result), nil
}

// filled returns an expression of the dashboard with its variables replaced as by Grafana.
func filled(expr string) string {
	return strings.NewReplacer("$__rate_interval", "10s", "$job", ".*", "$instance", ".*", "$feed", ".*", "$stream", ".*").Replace(expr)
}

// nothing are the panels without data of a node without problems.
var nothing = map[string]bool{
	"Requests answered with an error, a second": true,
	"Memory a client":                   true, // for more than a hundred connections
	"Trouble, an hour":                  true,
	"Rare faults, an hour":              true, // some exist only with traces.endpoint, or identities in headers
	"Duration of replays":               true,
	"Resumed from memory":               true,
	"Connected, and the store writable": true, // the store is in another server
}

// TestPrometheus_Scrape_Succeeds evaluates the queries of the dashboard and the alerts. A Prometheus server
// scrapes a node with a client: with native histograms, and without.
func TestPrometheus_Scrape_Succeeds(t *testing.T) {
	if testing.Short() {
		t.Skip("slow; skipped with -short")
	}
	for name, args := range map[string][]string{"native": {"--enable-feature=native-histograms"}, "classic": nil} {
		t.Run(name, func(t *testing.T) {
			r := newHarness(t, withAdmin)
			base := startPrometheus(t, r, args...)
			l := r.listen(me, "")
			l.want("tidemark.open")
			i := 0
			r.eventually("rates of deliveries and publishes", func() bool {
				i++
				r.post("/publish", fmt.Sprintf(`{"subject":"notifications.broadcast","data":"%d"}`, i))
				l.want(fmt.Sprint(i))
				delivered, err1 := query(base, "rate(tidemark_delivered_events_total{kind=\"live\"}[10s]) > 0")
				published, err2 := query(base, "rate(tidemark_published_events_total{result=\"stored\"}[10s]) > 0")
				return err1 == nil && err2 == nil && delivered > 0 && published > 0
			})
			for _, p := range readDashboard(t).Panels {
				for _, target := range p.Targets {
					n, err := query(base, filled(target.Expr))
					if err != nil || n == 0 && !nothing[p.Title] {
						t.Errorf("%s: %s gives %d series: %v", p.Title, target.Expr, n, err)
					}
				}
			}
			for _, rule := range readRules(t) {
				// The test does not check whether it fires: this machine may be too busy for its thresholds.
				if _, err := query(base, rule.Expr); err != nil {
					t.Errorf("%s: %v", rule.Alert, err)
				}
			}
		})
	}
}
