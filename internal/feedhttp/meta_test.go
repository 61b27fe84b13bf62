package feedhttp_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/feedhttp"
)

// metas are the comments of ?meta=1 that a stream has had so far.
func (s *stream) metas() (texts []string) {
	for _, c := range s.comments {
		if text, ok := strings.CutPrefix(strings.TrimPrefix(c, " "), feedhttp.TypeComment+" "); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

func TestMeta_Requested_CommentsHaveSubjectAndTime(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		r := newHarness(t, setup{proto: proto})
		first := r.Publish("n.all", "", []byte("one"))
		r.await(t, "the tail", func() bool { return r.feed.Status().High >= first })
		plain, _ := r.opened(t, "?from=all")
		asked, _ := r.opened(t, "?from=all&meta=1")
		second := r.Publish("n.all", "", []byte("two"))
		for range 2 {
			want, got := plain.next(t), asked.next(t)
			if fmt.Sprint(want) != fmt.Sprint(got) {
				t.Errorf("with meta %v, without %v", got, want)
			}
		}
		if got := plain.metas(); len(got) > 0 {
			t.Errorf("who did not ask got %q", got)
		}
		checkMetas(t, asked.metas(), first, second)
	})
}

func checkMetas(t *testing.T, texts []string, seqs ...uint64) {
	t.Helper()
	if len(texts) != 1+len(seqs) {
		t.Fatalf("%d comments, want one and one for each event: %q", len(texts), texts)
	}
	var open feedhttp.OpenComment
	if err := json.Unmarshal([]byte(texts[0]), &open); err != nil || open.Now == 0 || !strings.HasPrefix(open.Last, fmt.Sprint(seqs[0], "-")) {
		t.Errorf("the first one is %q (%v)", texts[0], err)
	}
	for _, text := range texts[1:] {
		var meta feedhttp.EventComment
		if err := json.Unmarshal([]byte(text), &meta); err != nil || meta.Subject != "n.all" || meta.Stored == 0 {
			t.Errorf("%q (%v)", text, err)
		}
	}
}

func TestMeta_UnknownValue_IsRefused(t *testing.T) {
	r := newHarness(t, setup{})
	resp, err := r.do(http.MethodGet, "/events?meta=yes")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("?meta=yes: %s", resp.Status)
	}
}
