package feedhttp_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/problem"
	"github.com/tidemark/tidemark/pkg/sse"
)

// stream is the client's end of a stream.
type stream struct {
	resp *http.Response
	*sse.Decoder
	comments []string
}

// connect opens a stream, without waiting for its first event.
func (r *harness) connect(query string, header ...string) (*stream, error) {
	resp, err := r.do(http.MethodGet, "/events"+query, header...)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return nil, fmt.Errorf("%s: %s", resp.Status, text)
	}
	s := &stream{resp: resp, Decoder: sse.NewDecoder(resp.Body)}
	s.OnComment = func(text []byte) { s.comments = append(s.comments, string(text)) }
	return s, nil
}

// subscribe opens a stream that the test's end closes.
func (r *harness) subscribe(t testing.TB, query string, header ...string) *stream {
	t.Helper()
	s, err := r.connect(query, header...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.resp.Body.Close() })
	return s
}

// opened is a stream with its tidemark.open.
func (r *harness) opened(t testing.TB, query string, header ...string) (*stream, feedhttp.OpenEvent) {
	t.Helper()
	s := r.subscribe(t, query, header...)
	var open feedhttp.OpenEvent
	s.control(t, feedhttp.TypeOpen, &open)
	return s, open
}

func (s *stream) next(t testing.TB) sse.Event {
	t.Helper()
	ev, err := s.Next()
	if err != nil {
		t.Fatalf("the stream ended: %v", err)
	}
	return ev.Clone()
}

// control takes the next event, which must be of a type, and its data.
func (s *stream) control(t testing.TB, typ string, data any) sse.Event {
	t.Helper()
	ev := s.next(t)
	if ev.Type != typ {
		t.Fatalf("a %q came where %s was wanted: %s", ev.Type, typ, ev.Data)
	}
	dec := json.NewDecoder(strings.NewReader(string(ev.Data)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(data); err != nil {
		t.Fatalf("%s: %v in %s", typ, err, ev.Data)
	}
	return ev
}

// want takes as many events as there are ids, control events other than the opening
// included as "type id".
func (s *stream) want(t testing.TB, ids ...string) {
	t.Helper()
	for i, want := range ids {
		ev := s.next(t)
		got := string(ev.ID)
		if strings.HasPrefix(ev.Type, "tidemark.") {
			got = ev.Type + " " + got
		}
		if got != want {
			t.Fatalf("item %d is %q, want %q of %v", i, got, want, ids)
		}
	}
}

// ended reads until the response ends, which must be by an abort.
func (s *stream) ended(t testing.TB) (last sse.Event) {
	t.Helper()
	for {
		ev, err := s.Next()
		if err == io.EOF {
			t.Fatal("the stream ended cleanly: some clients would not come back")
		}
		if err != nil {
			s.isAbort(t, err)
			return last
		}
		last = ev.Clone()
	}
}

func (s *stream) isAbort(t testing.TB, err error) {
	t.Helper()
	if s.resp.ProtoMajor == 1 && err != io.ErrUnexpectedEOF ||
		s.resp.ProtoMajor == 2 && !strings.Contains(err.Error(), "INTERNAL_ERROR") {
		t.Errorf("over %s the stream ended with %v, which is no abort", s.resp.Proto, err)
	}
}

func ids(epoch string, from, to int) (all []string) {
	for seq := from; seq <= to; seq++ {
		all = append(all, strconv.Itoa(seq)+"-"+epoch)
	}
	return all
}

// rawStream reads a stream as it is on the wire, comments and field order included.
type rawStream struct{ *bufio.Reader }

func (r *harness) raw(t testing.TB, query string, header ...string) rawStream {
	t.Helper()
	return rawStream{bufio.NewReader(r.subscribe(t, query, header...).resp.Body)}
}

// block returns the text up to and including the next blank line.
func (s rawStream) block(t testing.TB) string {
	t.Helper()
	var block strings.Builder
	for {
		line, err := s.ReadString('\n')
		block.WriteString(line)
		if err != nil {
			t.Fatalf("the stream ended in %q: %v", block.String(), err)
		}
		if line == "\n" {
			return block.String()
		}
	}
}

var anyRetry = regexp.MustCompile(`(?m)^retry: \d+$`)

// tame makes a block comparable: the time to wait is drawn by lot.
func tame(block string) string { return anyRetry.ReplaceAllString(block, "retry: N") }

// problemAnswer is a problem with the types of this package.
type problemAnswer struct {
	problem.Document
	Outcome feedhttp.Outcome         `json:"outcome"`
	Results []feedhttp.PublishResult `json:"results"`
}

// decodeProblem reads an application/problem+json, and checks it against the table of kinds.
func decodeProblem(t testing.TB, resp *http.Response, body string) problemAnswer {
	t.Helper()
	if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("%s as %q: %s", resp.Status, got, body)
	}
	var p problemAnswer
	dec := json.NewDecoder(strings.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	i := slices.IndexFunc(problem.Kinds(), func(k problem.Kind) bool { return k.Code == p.Code })
	if i < 0 {
		t.Fatalf("%s with the unknown code of %+v", resp.Status, p)
	}
	kind := problem.Kinds()[i]
	if p.Status != resp.StatusCode || p.Status != kind.Status || p.Title != kind.Title || p.Type != kind.Type() || p.Detail == "" {
		t.Errorf("%s with the problem %+v", resp.Status, p)
	}
	return p
}

func equal[T comparable](t testing.TB, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
