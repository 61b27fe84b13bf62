package feed

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestIsPortableJSON_ValidJSON_OnlyWhatEveryParserReads(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for text, want := range map[string]bool{
		`{"a":[1,-2.5,true,null,"x\"\\\u00e9"]}`: true, `"[[[["`: true, ` 12 `: true, `1e308`: true, `0.1e-400`: true, `"\\ud800"`: true,
		nested(maxJSONDepth): true, nested(maxJSONDepth + 1): false, nested(9999): false, strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65): false,
		`1e309`: false, `[-1E999999]`: false, strings.Repeat("9", 400): false, strings.Repeat("9", 300): true,
		`"\ud83d\ude00"`: true, `"\uD83D\uDE00 x"`: true, `"\ud800"`: false, `"\udc00"`: false, `"\ud800x"`: false, `{"\ud800\u0041":1}`: false, `"\ud800\n"`: false,
	} {
		if !json.Valid([]byte(text)) {
			t.Fatalf("%.40s is not valid JSON", text)
		}
		if got := isPortableJSON([]byte(text)); got != want {
			t.Errorf("%.40s: %v, want %v", text, got, want)
		}
	}
}

// Each valid text is scanned to its end, and a portable one is read by the standard library into numbers and strings.
func FuzzIsPortableJSON(f *testing.F) {
	for _, text := range []string{`{"a":[1,"\ud83d\ude00"]}`, `"\ud800`, `[[1e5]]`, `"\u`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) || !isPortableJSON(data) {
			return
		}
		var v any
		if err := json.Unmarshal(data, &v); err != nil {
			t.Errorf("%q: %v", data, err)
		}
	})
}
