package doctor

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// node is a running node of this configuration on this machine.
type node struct {
	running bool
	name    string
	files   uint64 // its limit of open files; 0 if unknown
}

// nodeTimeout limits each request to the node. /readyz takes up to two seconds.
const nodeTimeout = 4 * time.Second

// readiness contains the required fields of /readyz and /admin/status.
type readiness struct {
	Status  string            `json:"status"`
	Node    string            `json:"node"`
	Checks  map[string]string `json:"checks"`
	Refused map[string]uint64 `json:"rejections"`
	Version string            `json:"version"`
}

// checkNode requests the status of a node at http.addr.
func (d *doctor) checkNode(ctx context.Context) []Finding {
	c := &check{name: "node"}
	if d.NodeURL == "" {
		c.skip("http.addr has no fixed port; doctor cannot find a running node")
		return c.found
	}
	state, err := askNode(ctx, d.NodeURL+"/readyz")
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		c.skip("no node runs at %s; start it to check it, too", d.NodeURL)
		return c.found
	case errors.Is(err, errNoNode):
		c.problem("http.addr, or stop the other program", "the program at %s is not a node of Tidemark", d.NodeURL)
		return c.found
	case err != nil:
		c.problem("http.addr, or check the log of the node", "%s does not respond: %v", d.NodeURL, err)
		return c.found
	}
	d.node = node{running: true, name: state.Node}
	d.askAdmin(ctx, c, state)
	d.readChecks(c, state)
	if c.fine() {
		c.ok("%s runs at %s and is ready", state.Node, d.NodeURL)
	}
	return c.found
}

func (d *doctor) readChecks(c *check, state readiness) {
	report := c.problem
	if state.Status != "unavailable" {
		report = c.warn
	}
	for _, name := range slices.Sorted(maps.Keys(state.Checks)) {
		if text := state.Checks[name]; text != "ok" {
			report("see the runbook in docs/operate/runbook.md", "%s is %s: %s: %s", state.Node, state.Status, name, text)
		}
	}
	if n := state.Refused["headers_ignored"]; n > 0 {
		c.warn("http.trusted_proxies", "%d requests had identity headers and came from an address that is not trusted", n)
	}
}

// askAdmin requests the data for operators. An address of auto may belong to another node.
func (d *doctor) askAdmin(ctx context.Context, c *check, state readiness) {
	if d.AdminURL == "" {
		return
	}
	full, err := askNode(ctx, d.AdminURL+"/admin/status")
	if err != nil || full.Node != state.Node {
		c.warn("admin.addr: a free address for each node of this machine", "%s does not serve the admin API and metrics at %s", state.Node, d.AdminURL)
		return
	}
	if full.Version != d.Version {
		c.warn("restart the node with this version, or run doctor of its version", "%s runs version %s, and this command has version %s", state.Node, full.Version, d.Version)
	}
	d.node.files = maxFiles(ctx, d.AdminURL+"/metrics")
}

var errNoNode = errors.New("the response is not from a node")

// own sends requests to this machine only. The certificate of a node is for other names than the loopback
// address. No secrets are sent.
var own = &http.Client{
	Timeout: nodeTimeout,
	Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
	},
}

func get(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return own.Do(req)
}

func askNode(ctx context.Context, url string) (r readiness, err error) {
	resp, err := get(ctx, url)
	if err != nil {
		return r, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&r); err != nil || r.Status == "" || r.Node == "" {
		return readiness{}, fmt.Errorf("%s answers %s: %w", url, resp.Status, errNoNode)
	}
	return r, nil
}

// maxFiles reads process_max_fds, which Prometheus's client provides on some systems.
func maxFiles(ctx context.Context, url string) uint64 {
	resp, err := get(ctx, url)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(io.LimitReader(resp.Body, 8<<20)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "process_max_fds "); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil || n < 0 {
				return 0
			}
			return uint64(n)
		}
	}
	return 0
}
