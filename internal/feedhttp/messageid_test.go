package feedhttp_test

import (
	"net/http"
	"testing"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/pkg/auth"
)

// TestPublish_SameID_IsScopedByPublisherAndSubject: an id drops a repeat of the same publisher to the
// same subject, and nothing else.
func TestPublish_SameID_IsScopedByPublisherAndSubject(t *testing.T) {
	var caller auth.Identity
	d := newDesk(t, publishing, feedhttp.PublishOptions{Identify: func(*http.Request) (auth.Identity, error) { return caller, nil }})
	stored := func(who auth.Identity, subject, id string) string {
		t.Helper()
		who.Publish = []string{">"}
		caller = who
		if resp, body := d.post(t, `{"subject":"`+subject+`","data":1,"id":"`+id+`"}`); resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", resp.Status, body)
		}
		return d.taken()[0].ID
	}
	billing := auth.Identity{Kind: auth.KindAPIKey, Publisher: "billing"}
	first := stored(billing, "n.a", "1")
	if again := stored(billing, "n.a", "1"); again != first {
		t.Errorf("a repeat has the id %s, not %s", again, first)
	}
	if len(first) > feed.MaxIDLen {
		t.Errorf("%d bytes", len(first))
	}
	seen := map[string]string{first: "the first"}
	for name, id := range map[string]string{
		"another subject":       stored(billing, "n.b", "1"),
		"another id":            stored(billing, "n.a", "2"),
		"another key":           stored(auth.Identity{Kind: auth.KindAPIKey, Publisher: "other"}, "n.a", "1"),
		"a token of that name":  stored(auth.Identity{Kind: auth.KindJWT, Publisher: "billing"}, "n.a", "1"),
		"nobody":                stored(auth.Identity{}, "n.a", "1"),
		"a name with the id":    stored(auth.Identity{Kind: auth.KindAPIKey, Publisher: "billin"}, "gn.a", "1"),
		"a subject with the id": stored(billing, "n", ".a1"),
	} {
		if of := seen[id]; of != "" {
			t.Errorf("%s has the id of %s", name, of)
		}
		seen[id] = name
	}
}
