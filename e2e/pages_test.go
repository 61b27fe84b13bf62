package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// prelude defines what the pages of the documents expect to exist. It records their calls.
const prelude = `<!doctype html><meta charset="utf-8"><script>
const calls = [];
console.log = (...args) => calls.push(['log', ...args]);
const show = (type, data) => calls.push(['show', type, data]);
const handle = async event => { calls.push(['handle', event.type, event.data]); };
const htmx = {
  swap: (target, data) => { document.querySelector(target).insertAdjacentHTML('beforeend', data); },
  trigger: (element, type, detail) => calls.push(['trigger', type, detail.data]),
};
</script>`

// documentedPage is a block of a document, and its effect when an event arrives.
type documentedPage struct {
	document, heading string // the first block of this language after it
	language          string
	subject, kind     string // of the event
	data              string
	want              string // in JavaScript; true once the event has arrived
}

// TestDocumentedPages runs the pages of the documents in a browser unchanged, except for the host, against a
// service that accepts the tokens of /session/token.
func TestDocumentedPages(t *testing.T) {
	t.Parallel()
	b, missing := newChromium(t)
	if b == nil {
		t.Skip(missing)
	}
	sign, secret := tokens(t)
	s := serveAt(t, freeAddr(t), "--auth.identity=jwt,anonymous", "--auth.jwt.secret_file", secret)
	p := newProducer(t, s)
	for name, page := range map[string]documentedPage{
		"README, EventSource": {
			"../README.md", "**Receive** in a page:", "js", "notifications.broadcast", "greeting", `{"text":"hi"}`,
			`calls.some(c => c[0] === 'log' && /^\d+-/.test(c[1]) && c[2].text === 'hi')`,
		},
		"README, client library": {
			"../README.md", "## In a page", "js", "notifications.topic.news", "article", "news",
			`calls.some(c => c[0] === 'handle' && c[1] === 'article' && c[2] === 'news')`,
		},
		"README, client library, as the user of the token": {
			"../README.md", "## In a page", "js", "notifications.user.42", "private", "for 42",
			`calls.some(c => c[0] === 'handle' && c[1] === 'private' && c[2] === 'for 42')`,
		},
		"guide, notifications": {
			"../docs/guides/notifications.md", "## Show them in a page", "html", "notifications.broadcast", "order", "shipped",
			`document.querySelector('#orders li').textContent === 'shipped'`,
		},
		"guide, dashboards": {
			"../docs/guides/dashboards.md", "## Show them in a page", "html", "notifications.topic.sensors.kitchen", "reading", `{"celsius":21.5}`,
			`document.querySelector('#celsius').textContent === '21.5'`,
		},
		"guide, mobile webviews": {
			"../docs/guides/mobile-webviews.md", "## Use the library", "html", "notifications.broadcast", "chat", "hello",
			`document.querySelector('#messages li').textContent === 'hello' && document.body.dataset.live === 'open'`,
		},
		"client, plain JS": {
			"../pkg/web/client/README.md", "## Plain JS", "html", "notifications.user.42", "greeting", `{"text":"hi"}`,
			`calls.some(c => c[0] === 'show' && c[1] === 'greeting' && c[2].text === 'hi') && document.body.dataset.live === 'open'`,
		},
		"client, htmx, an order": {
			"../pkg/web/client/README.md", "## htmx", "html", "notifications.broadcast", "order", "<li>one</li>",
			`document.querySelector('#orders li').textContent === 'one'`,
		},
		"client, htmx, something else": {
			"../pkg/web/client/README.md", "## htmx", "html", "notifications.broadcast", "cart", "2",
			`calls.some(c => c[0] === 'trigger' && c[1] === 'tidemark:cart' && c[2] === '2')`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			origin := documentedOrigin(t, s, page, func() string {
				return sign(fmt.Sprintf(`{"sub":"42","exp":%d}`, time.Now().Add(time.Hour).Unix()))
			})
			tab := b.open(t, origin+"/page")
			eventually(t, "the event arrives at the page", func() bool {
				page.publish(t, p) // again, as the page may not have been connected
				return eval[bool](tab, "!!(() => { try { return "+page.want+" } catch { return false } })()")
			})
		})
	}
}

func (d documentedPage) publish(t *testing.T, p *producer) {
	t.Helper()
	msg := nats.NewMsg(d.subject)
	msg.Data = []byte(d.data)
	msg.Header.Set("Event-Type", d.kind)
	if _, err := p.js.PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
}

// documentedOrigin serves the page and the service at the same origin.
func documentedOrigin(t *testing.T, s *service, d documentedPage, token func() string) (origin string) {
	t.Helper()
	target, err := url.Parse(s.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	t.Cleanup(srv.CloseClientConnections)
	text := strings.ReplaceAll(documentedBlock(t, d.document, d.heading, d.language), "https://events.example.com", srv.URL)
	if d.language == "js" {
		text = `<script type="module">` + text + `</script>`
	}
	mux.Handle("/", &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, FlushInterval: -1,
		Transport: &http.Transport{DisableKeepAlives: true}, ErrorHandler: func(http.ResponseWriter, *http.Request, error) {},
	})
	mux.HandleFunc("/session/token", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(token())) })
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(prelude + "<body>" + text))
	})
	return srv.URL
}

// documentedBlock returns the first block of a language after a line.
func documentedBlock(t *testing.T, document, line, language string) string {
	t.Helper()
	content, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	_, behind, found := strings.Cut(string(content), "\n"+line+"\n")
	_, block, opened := strings.Cut(behind, "```"+language+"\n")
	block, _, closed := strings.Cut(block, "```")
	if !found || !opened || !closed {
		t.Fatalf("%s has no block of %s behind %q", document, language, line)
	}
	return block
}

// TestDocumentedStorage runs the documented storage for Node: a second process does not receive the events that
// the first one handled.
func TestDocumentedStorage(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node was found: the client's storage for Node is not tried")
	}
	s := serve(t)
	p := newProducer(t, s)
	p.fill(4) // of which 1 to 4 are for 42
	library, err := filepath.Abs("../pkg/web/client/tidemark.js")
	if err != nil {
		t.Fatal(err)
	}
	block := documentedBlock(t, "../pkg/web/client/README.md", "Node (18 or newer) keeps the position in memory, or in your own `storage`:", "js")
	script := "import { connect } from " + fmt.Sprintf("%q", (&url.URL{Scheme: "file", Path: library}).String()) + ";\n" + block + `
const live = connect(process.argv[2], { storage, onEvent(event) {
  console.log(parseInt(event.data));
  if (parseInt(event.data) === Number(process.argv[3])) setTimeout(() => { live.close(); });
} });
`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "follow.mjs"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, life := range []struct {
		from string
		last int
		want string
	}{{"?user=42&from=all", 4, "1 2 3 4"}, {"?user=42&from=all", 8, "6 7 8"}} {
		p.publish(5, life.last)
		out := output(t, filepath.Join(dir, fmt.Sprint("numbers-", life.last)))
		cmd := exec.Command(node, "follow.mjs", s.url("/events")+life.from, fmt.Sprint(life.last))
		cmd.Dir = dir
		if status := start(t, cmd, out, out).wait(); status != 0 {
			t.Errorf("node ended with status %d", status)
		}
		printed, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(strings.Fields(string(printed)), " "); got != life.want {
			t.Errorf("received %q, want %q", got, life.want)
		}
	}
}
