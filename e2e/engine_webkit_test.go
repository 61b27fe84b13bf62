package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// newWebKit starts the small browser of WebKitGTK by WebDriver, on a virtual display.
func newWebKit(t *testing.T) (b *browser, missing string) {
	t.Helper()
	driver, missing := lookBrowser("WebKitWebDriver")
	if driver == "" {
		return nil, missing
	}
	display, missing := lookBrowser("Xvfb")
	if display == "" {
		return nil, missing
	}
	dir := t.TempDir()
	shown := output(t, filepath.Join(dir, "display"))
	startGroup(t, exec.Command(display, "-displayfd", "1", "-nolisten", "tcp", "-screen", "0", "800x600x24"), shown)
	var number string
	eventually(t, "a display", func() bool {
		number = displayNumber(shown.Name())
		return number != ""
	})
	addr := freeAddr(t)
	_, port, _ := strings.Cut(addr, ":")
	cmd := exec.Command(driver, "--port="+port)
	cmd.Env = []string{"DISPLAY=:" + number, "HOME=" + dir, "XDG_CACHE_HOME=" + dir, "XDG_DATA_HOME=" + dir, "GDK_BACKEND=x11", "LIBGL_ALWAYS_SOFTWARE=1"}
	p := startGroup(t, cmd, output(t, filepath.Join(dir, "webkit.log")))
	eventually(t, "WebKitWebDriver", func() bool { return status("http://"+addr+"/status") == http.StatusOK })
	d := &webDriver{url: "http://" + addr + "/session"}
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	var session struct{ SessionID string }
	capabilities := map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{"acceptInsecureCerts": true}}}
	if err := d.call(ctx, http.MethodPost, "", capabilities, &session); err != nil {
		t.Fatalf("WebKitGTK: %v", err)
	}
	d.url += "/" + session.SessionID
	if err := d.call(ctx, http.MethodGet, "/window", nil, &d.first); err != nil {
		t.Fatalf("WebKitGTK: %v", err)
	}
	t.Cleanup(func() { // before the driver is killed: the browser would outlive it
		ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
		defer cancel()
		_ = d.call(ctx, http.MethodDelete, "", nil, nil)
	})
	return &browser{root: p.cmd.Process.Pid, opener: d.open}, ""
}

// displayNumber returns the line that Xvfb writes when it is ready, among its warnings.
func displayNumber(file string) string {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if number := strings.TrimSuffix(line, "\n"); number != line && number != "" && strings.Trim(number, "0123456789") == "" {
			return number
		}
	}
	return ""
}

// webDriver is a session of WebDriver (w3.org/TR/webdriver2). It has one current tab, so that tabs take turns.
type webDriver struct {
	url string
	// first is the initial tab. It stays open: a new tab is opened from an existing one.
	first string
	mu    sync.Mutex
	// at is the current tab.
	at string
}

// call blocks until the response arrives, or ctx ends.
func (d *webDriver) call(ctx context.Context, method, path string, params, result any) error {
	var body bytes.Buffer
	if method == http.MethodPost {
		if params == nil {
			params = struct{}{}
		}
		if err := json.NewEncoder(&body).Encode(params); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, d.url+path, &body)
	if err != nil {
		return err
	}
	resp, err := direct.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answer struct{ Value json.RawMessage }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s %s: %s: %w", method, path, resp.Status, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer.Value)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Value, result)
}

func (d *webDriver) open(ctx context.Context) (window, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.turnTo(ctx, d.first); err != nil {
		return nil, err
	}
	var created struct{ Handle string }
	// A new window instead of a tab: a tab in the background would run its timers late.
	err := d.call(ctx, http.MethodPost, "/window/new", map[string]any{"type": "window"}, &created)
	return &webDriverTab{d, created.Handle}, err
}

// turnTo makes a tab the current one. The lock is held.
func (d *webDriver) turnTo(ctx context.Context, handle string) error {
	if d.at == handle {
		return nil
	}
	err := d.call(ctx, http.MethodPost, "/window", map[string]any{"handle": handle}, nil)
	if err == nil {
		d.at = handle
	}
	return err
}

type webDriverTab struct {
	*webDriver
	handle string
}

// command sends a command to this tab.
func (w *webDriverTab) command(ctx context.Context, method, path string, params, result any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.turnTo(ctx, w.handle); err != nil {
		return err
	}
	return w.call(ctx, method, path, params, result)
}

func (w *webDriverTab) navigate(ctx context.Context, url string) error {
	return w.command(ctx, http.MethodPost, "/url", map[string]any{"url": url}, nil)
}

func (w *webDriverTab) reload(ctx context.Context) error {
	return w.command(ctx, http.MethodPost, "/refresh", nil, nil)
}

func (w *webDriverTab) close(ctx context.Context) error {
	return w.command(ctx, http.MethodDelete, "/window", nil, nil)
}

func (w *webDriverTab) evaluate(ctx context.Context, js string) ([]byte, error) {
	var value string
	err := w.command(ctx, http.MethodPost, "/execute/sync", map[string]any{"script": "return " + encoded(js), "args": []any{}}, &value)
	return []byte(value), err
}
