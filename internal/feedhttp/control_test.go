package feedhttp

import (
	"encoding/json"
	"testing"
)

// tidemark.open is written without encoding/json, and must equal its output.
func TestOpenEvent_AllTexts_EqualsEncodingJSON(t *testing.T) {
	texts := []string{"", "NEWS", "a.b.*.>", "a b", `quo"te`, `back\slash`, "<&>", "\x00\x1f\x7f", "Grüße", "\u2028", "bad \xff utf-8", "日本"}
	var all []OpenEvent
	for _, text := range texts {
		all = append(all, OpenEvent{Stream: text, Position: text, Subjects: []string{text}}, OpenEvent{Subjects: []string{"x", text, "y"}})
	}
	all = append(all, OpenEvent{}, OpenEvent{Subjects: []string{}}, OpenEvent{Stream: "s", Position: "1-e", Resumed: true, Pending: 1<<64 - 1, Subjects: texts})
	for _, open := range all {
		want, err := json.Marshal(open)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(open.append(nil)); got != string(want) {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}
