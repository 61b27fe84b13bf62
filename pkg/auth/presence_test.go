package auth_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/tidemark/tidemark/pkg/auth"
)

func TestPresenceByKey(t *testing.T) {
	both, bothLine := newAPIKey(t, "both", "news.>", auth.PresenceRight)
	watch, watchLine := newAPIKey(t, "watch", auth.PresenceRight)
	post, postLine := newAPIKey(t, "post", "news.>")
	keys := openAPIKeys(t, bothLine, watchLine, postLine)
	for _, c := range []struct {
		key      string
		presence bool
		publish  []string
	}{{both, true, []string{"news.>"}}, {watch, true, nil}, {post, false, []string{"news.>"}}} {
		r, err := http.NewRequest(http.MethodGet, "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-API-Key", c.key)
		id, err := keys.Identify(r)
		if err != nil || id.Presence != c.presence || !slices.Equal(id.Publish, c.publish) || id.MayPublish(auth.PresenceRight) {
			t.Errorf("%+v, %v", id, err)
		}
	}
	if _, _, err := auth.NewAPIKey("x", "+connections"); err == nil {
		t.Error("a right that there is not was taken for a subject")
	}
}

func TestPresenceByToken(t *testing.T) {
	source := openJWT(t, auth.JWTOptions{PresenceClaim: "rights.presence"})
	for name, c := range map[string]struct {
		claim    any
		presence bool
		status   int
	}{
		"true":        {object{"presence": true}, true, 0},
		"false":       {object{"presence": false}, false, 0},
		"null":        {object{"presence": nil}, false, 0},
		"none":        {object{}, false, 0},
		"text":        {object{"presence": "true"}, false, http.StatusBadRequest},
		"a number":    {object{"presence": 1}, false, http.StatusBadRequest},
		"a list":      {object{"presence": []string{"x"}}, false, http.StatusBadRequest},
		"no object":   {true, false, 0},
		"written out": {json.RawMessage(`{"presence":true}`), true, 0},
	} {
		id, err := source.Identify(bearing(hs256(claims(object{"rights": c.claim}))))
		if status(err) != c.status || id.Presence != c.presence {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	// The claim is used only if it is configured.
	id, err := openJWT(t, auth.JWTOptions{}).Identify(bearing(hs256(claims(object{"presence": true}))))
	if err != nil || id.Presence {
		t.Errorf("%+v, %v", id, err)
	}
}
