package loadtest

import (
	"strings"
	"testing"
	"time"
)

func TestMarker_InData_IsFound(t *testing.T) {
	m := marker{run: "cafe0123", key: "u42", n: 7, sent: time.Unix(1, 5)}
	data := `{"text":"` + m.payload(200) + `"}`
	key, n, sent, ok := findMarker([]byte(data), "cafe0123")
	if !ok || string(key) != "u42" || n != 7 || sent != 1_000_000_005 || len(m.payload(200)) != 200 {
		t.Errorf("%s: %s %d %d %v", data, key, n, sent, ok)
	}
	for _, other := range []string{"", "tm=", "tm=deadbeef/u42/7/1;", "no marker", "tm=cafe0123/"} {
		if _, _, _, ok := findMarker([]byte(other), "cafe0123"); ok {
			t.Errorf("%q has a marker of the run", other)
		}
	}
	if strings.ContainsAny(m.String(), `"\&?#{}<> `) {
		t.Errorf("%q has characters that JSON, a URL or a form would escape", m)
	}
}
