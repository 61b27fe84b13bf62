package feedhttp

import (
	"encoding/json"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"
)

// Memory is bounded by the events that are taken, whatever the array holds beyond them.
func TestDecode_ArrayBeyondMaxBatch_StopsThere(t *testing.T) {
	for name, body := range map[string]string{
		"empty objects": "[" + strings.Repeat("{},", 349_000) + "{}]",
		"null":          "[" + strings.Repeat("null,", 209_000) + "null]",
		"broken behind": "[" + strings.Repeat("{},", 1000) + "{},}" + strings.Repeat("!", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			requests, isArray, err := decode([]byte(body), 1000)
			runtime.ReadMemStats(&after)
			if requests != nil || !isArray || err == nil || !strings.Contains(err.Error(), "at most 1000") {
				t.Errorf("%d requests, %v, %v", len(requests), isArray, err)
			}
			if used := after.TotalAlloc - before.TotalAlloc - uint64(len(body)); used > 1<<20 { // the copy is this test's
				t.Errorf("decoding took %d KiB", used>>10)
			}
		})
	}
}

func TestDecode_ArrayOfMaxBatch_IsTaken(t *testing.T) {
	requests, isArray, err := decode([]byte(" [ "+strings.Repeat(`{"subject":"a"} , `, 999)+`{"subject":"z"} ] `), 1000)
	if err != nil || !isArray || len(requests) != 1000 || requests[0].Subject != "a" || requests[999].Subject != "z" {
		t.Errorf("%d requests, %v, %v", len(requests), isArray, err)
	}
}

func TestDecode_BrokenArray_IsRefused(t *testing.T) {
	for _, body := range []string{
		"[", "[{}", "[{},", "[{},]", "[{} {}]", "[}", "[,]", "[{}}", "[]", "[] []", "[{}] {}", "[{}]]", "[{}],",
		`["text"]`, "[[{}]]", "[1]", `[{"unknown":1}]`, `[{"subject":1}]`,
	} {
		if requests, _, err := decode([]byte(body), 1000); err == nil {
			t.Errorf("%s: %v", body, requests)
		}
	}
}

// FuzzDecode compares decoding event by event with decoding the array as a whole.
func FuzzDecode(f *testing.F) {
	for _, body := range []string{`[{}]`, `[{"subject":"a","data":[1,{}]},null]`, `[{},{},{},{}]`, `{"id":"x"}`, `[{}],`, `[{} {}]`, ` [ ] `, `[{},]`, `[{"x":1}]`} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		if strings.TrimSpace(body) == "" || !utf8.ValidString(body) {
			return
		}
		requests, isArray, err := decode([]byte(body), 3)
		if !isArray {
			return
		}
		var whole []PublishRequest
		dec := json.NewDecoder(strings.NewReader(body))
		dec.DisallowUnknownFields()
		failed := dec.Decode(&whole)
		if failed == nil {
			failed = checkEnd(dec)
		}
		if want := failed == nil && len(whole) > 0 && len(whole) <= 3; (err == nil) != want {
			t.Fatalf("%v; as a whole %v, %d events", err, failed, len(whole))
		}
		if err == nil && !reflect.DeepEqual(requests, whole) {
			t.Fatalf("%+v, want %+v", requests, whole)
		}
	})
}
