package feedhttp

import (
	"encoding/json"
	"testing"

	"github.com/tidemark/tidemark/pkg/sse"
)

func TestEventComment_AnySubject_IsTheJSONOfItsFields(t *testing.T) {
	for _, subject := range []string{"n.all", "", "größe.🌊", `"\<>&`, "line\u2028\x7f\x00", "\xff"} {
		c := EventComment{subject, 1764237600123}
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		want := sse.AppendComment(nil, TypeComment+" "+string(text))
		if got := (controlWriter{}).meta(nil, c); string(got) != string(want) {
			t.Errorf("%q is %q, want %q", subject, got, want)
		}
	}
}
