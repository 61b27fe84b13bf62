package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/pkg/sse"
)

// TestExampleLLMTokens_ReloadAndKillInTheMiddle_BothTabsShowTheWholeText runs the example in each engine, with two tabs:
// the first tab is reloaded, the node is killed, and a plain EventSource follows as well.
func TestExampleLLMTokens_ReloadAndKillInTheMiddle_BothTabsShowTheWholeText(t *testing.T) {
	t.Parallel()
	e := newEngines(t)
	root := repository(t)
	origin := "http://" + freeAddr(t)
	s := serve(t, "--config="+filepath.Join(root, "examples/llm-tokens/tidemark.yaml"),
		"--streams.dir="+filepath.Join(root, "examples/llm-tokens/streams"), "--http.cors.origins="+origin)
	front := newHoldingFront(t, s, false) // holds nothing back: it counts requests
	events := front.URL + "/events?user=alice"
	startLLMTokens(t, origin, s.url(""), events)
	want := strings.TrimSpace(modelAnswer(t, origin))

	var groups [2]tabs
	for i := range groups {
		groups[i] = e.open(t, origin+"/?run=7")
	}
	all := append(append(tabs{}, groups[0]...), groups[1]...)
	plain := events + "&subject=runs.alice.7&until=end&plain=1"
	for _, tab := range groups[0] {
		tab.await("document.querySelector('#state').textContent === 'open'")
	}
	for _, tab := range groups[1] {
		eval[bool](tab, plainEventSource(plain))
	}
	eval[bool](all[0], "document.querySelector('#start').click(), true")
	for _, tab := range all {
		tab.await("document.querySelector('#text').textContent.length > 100")
	}
	for _, tab := range groups[0] {
		tab.reload()
	}
	s.kill()
	t.Logf("the node was killed after %d of %d characters", eval[int](groups[1][0], "document.querySelector('#text').textContent.length"), len(want))
	s.start()
	for _, tab := range all {
		tab.await("document.querySelector('#state').textContent === 'complete'")
		tab.await("document.querySelector('#start').textContent === 'Ask again'")
		if got := strings.TrimSpace(eval[string](tab, "document.querySelector('#text').textContent")); got != want {
			t.Errorf("%s shows %q, want %q", tab.engine, got, want)
		}
	}
	for _, tab := range groups[1] {
		tab.await("source.readyState === EventSource.CLOSED")
		if got := strings.TrimSpace(eval[string](tab, "plainText")); got != want {
			t.Errorf("%s: EventSource received %q, want %q", tab.engine, got, want)
		}
	}
	checkRequestsAfterEnd(t, front, len(e))
}

// checkRequestsAfterEnd expects one response with 204 for each EventSource, and none for the library.
func checkRequestsAfterEnd(t *testing.T, front *holdingFront, engines int) {
	t.Helper()
	after := map[bool]int{}
	for _, r := range front.recorded() {
		if r.status == http.StatusNoContent {
			after[strings.Contains(r.query, "plain=1")]++
		}
	}
	if after[true] != engines || after[false] != 0 {
		t.Errorf("%d requests of %d EventSources and %d of the library came after the end", after[true], engines, after[false])
	}
}

// plainEventSource follows a run without the library. After the loss of the node it may give up, and then begins
// again at its position: Firefox does not reconnect to a closed port.
func plainEventSource(url string) string {
	return fmt.Sprintf(`(() => {
		window.plainText = '';
		let last = '', complete = false;
		const begin = () => {
			window.source = new EventSource(%q + (last && '&last_event_id=' + encodeURIComponent(last)));
			source.onmessage = e => {
				last = e.lastEventId;
				if (e.data !== '[DONE]') plainText += JSON.parse(e.data).choices[0].delta.content ?? '';
			};
			source.addEventListener('tidemark.close', e => { complete = JSON.parse(e.data).reason === 'complete'; });
			source.onerror = () => { if (source.readyState === EventSource.CLOSED && !complete) setTimeout(begin, 200); };
		};
		begin();
		return true;
	})()`, url)
}

// startLLMTokens builds and starts the program of the example.
func startLLMTokens(t *testing.T, origin, node, events string) {
	t.Helper()
	dir := t.TempDir()
	built := filepath.Join(dir, "llm-tokens")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", built, "./examples/llm-tokens")
	build.Dir = ".."
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	addr := strings.TrimPrefix(origin, "http://")
	cmd := exec.CommandContext(t.Context(), built)
	cmd.Env = []string{"ADDR=" + addr, "NODE=" + node, "EVENTS=" + events, "PAUSE=80ms"}
	log := output(t, filepath.Join(dir, "log"))
	start(t, cmd, log, log)
	eventually(t, "llm-tokens serves", func() bool { return accepts(addr) })
}

// modelAnswer returns the text that the model writes.
func modelAnswer(t *testing.T, origin string) (text string) {
	t.Helper()
	resp, err := http.Get(origin + "/v1/chat/completions") //nolint:noctx // it is bounded by the length of the answer
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return chatText(t, resp.Body)
}

// chatText joins the contents of an event stream of chat completions.
func chatText(t *testing.T, body io.Reader) string {
	t.Helper()
	var text strings.Builder
	for events := sse.NewDecoder(body); ; {
		ev, err := events.Next()
		if err != nil {
			t.Fatalf("the model's stream ended before [DONE]: %v", err)
		}
		if string(ev.Data) == "[DONE]" {
			return text.String()
		}
		var chunk struct {
			Choices []struct{ Delta struct{ Content string } }
		}
		if err := json.Unmarshal(ev.Data, &chunk); err != nil {
			t.Fatal(err)
		}
		text.WriteString(chunk.Choices[0].Delta.Content)
	}
}
