package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// newFirefox starts Firefox, which is controlled by WebDriver BiDi, without a driver process.
func newFirefox(t *testing.T) (b *browser, missing string) {
	t.Helper()
	path, missing := lookBrowser("firefox-esr", "firefox")
	if path == "" {
		return nil, missing
	}
	dir := t.TempDir()
	profile := filepath.Join(dir, "profile")
	if err := os.Mkdir(profile, 0o700); err != nil {
		t.Fatal(err)
	}
	log := output(t, filepath.Join(dir, "firefox.log"))
	cmd := exec.Command(path, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port=0", "about:blank")
	cmd.Env = []string{"HOME=" + dir, "MOZ_CRASHREPORTER_DISABLE=1"}
	p := startGroup(t, cmd, log)
	var url []byte
	eventually(t, "Firefox listens", func() bool {
		if p.ended() {
			t.Fatal("Firefox has ended")
		}
		text, _ := os.ReadFile(log.Name())
		if found := bidiListens.FindSubmatch(text); found != nil {
			url = found[1]
		}
		return url != nil
	})
	conn := dialBidi(t, string(url)+"/session")
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	capabilities := map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{"acceptInsecureCerts": true}}}
	if err := conn.call(ctx, "session.new", capabilities, nil); err != nil {
		t.Fatalf("Firefox: %v", err)
	}
	return &browser{root: p.cmd.Process.Pid, opener: conn.open}, ""
}

var bidiListens = regexp.MustCompile(`BiDi listening on (ws://\S+)`)

// bidi is a connection of WebDriver BiDi (w3.org/TR/webdriver-bidi).
type bidi struct {
	conn    *websocket.Conn
	reading sync.WaitGroup

	mu      sync.Mutex
	last    int
	waiting map[int]chan bidiAnswer
	err     error // why the connection has ended
}

type bidiAnswer struct {
	ID      int             `json:"id"`
	Type    string          `json:"type"`
	Error   string          `json:"error"`
	Message string          `json:"message"`
	Result  json.RawMessage `json:"result"`
}

func dialBidi(t *testing.T, url string) *bidi {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: direct})
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(64 << 20) // an event of 1 MB, escaped
	d := &bidi{conn: conn, waiting: map[int]chan bidiAnswer{}}
	d.reading.Go(d.read)
	t.Cleanup(func() {
		_ = conn.CloseNow()
		d.reading.Wait()
	})
	return d
}

func (d *bidi) read() {
	for {
		var answer bidiAnswer
		err := wsjson.Read(context.Background(), d.conn, &answer)
		d.mu.Lock()
		if err != nil {
			d.err = err
			for _, waiting := range d.waiting {
				close(waiting)
			}
			d.mu.Unlock()
			return
		}
		if waiting := d.waiting[answer.ID]; waiting != nil && answer.Type != "event" {
			delete(d.waiting, answer.ID)
			waiting <- answer
		}
		d.mu.Unlock()
	}
}

// call blocks until the response arrives, or ctx ends.
func (d *bidi) call(ctx context.Context, method string, params, result any) error {
	d.mu.Lock()
	if d.err != nil {
		defer d.mu.Unlock()
		return d.err
	}
	d.last++
	id, answered := d.last, make(chan bidiAnswer, 1)
	d.waiting[id] = answered
	d.mu.Unlock()
	// A write whose context ends would close the connection.
	if err := wsjson.Write(context.WithoutCancel(ctx), d.conn, map[string]any{"id": id, "method": method, "params": params}); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case answer, ok := <-answered:
		switch {
		case !ok:
			return errors.New("the browser has gone")
		case answer.Type != "success":
			return fmt.Errorf("%s: %s: %s", method, answer.Error, answer.Message)
		case result == nil:
			return nil
		}
		return json.Unmarshal(answer.Result, result)
	}
}

func (d *bidi) open(ctx context.Context) (window, error) {
	var created struct{ Context string }
	err := d.call(ctx, "browsingContext.create", map[string]any{"type": "tab"}, &created)
	return &bidiTab{d, created.Context}, err
}

type bidiTab struct {
	*bidi
	id string
}

func (b *bidiTab) navigate(ctx context.Context, url string) error {
	return b.call(ctx, "browsingContext.navigate", map[string]any{"context": b.id, "url": url, "wait": "complete"}, nil)
}

func (b *bidiTab) reload(ctx context.Context) error {
	return b.call(ctx, "browsingContext.reload", map[string]any{"context": b.id, "wait": "complete"}, nil)
}

func (b *bidiTab) close(ctx context.Context) error {
	return b.call(ctx, "browsingContext.close", map[string]any{"context": b.id}, nil)
}

func (b *bidiTab) evaluate(ctx context.Context, js string) ([]byte, error) {
	var evaluated struct {
		Type   string
		Result struct{ Value string }
		Thrown struct{ Text string } `json:"exceptionDetails"`
	}
	err := b.call(ctx, "script.evaluate", map[string]any{"expression": encoded(js), "target": map[string]any{"context": b.id}, "awaitPromise": false}, &evaluated)
	if err == nil && evaluated.Type != "success" {
		err = errors.New(evaluated.Thrown.Text)
	}
	return []byte(evaluated.Result.Value), err
}
