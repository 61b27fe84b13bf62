package presence

import (
	"bytes"
	"compress/gzip"
	"testing"
)

// FuzzDecode checks invalid values, because other programs may write to the bucket.
func FuzzDecode(f *testing.F) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write([]byte(`[{"id":"1","user":"42"}]`))
	_ = w.Close()
	f.Add([]byte(`[{"id":"1","user":"42","since":"2026-01-31T12:00:00Z"},null,{}]`))
	f.Add(packed.Bytes())
	f.Add([]byte{0x1f, 0x8b})
	f.Fuzz(func(t *testing.T, value []byte) {
		list, err := decode("a", value)
		if err != nil && list != nil {
			t.Error("an error, and connections")
		}
		for _, c := range list {
			if c.Node != "a" || len(c.ID) < 2 {
				t.Errorf("%+v", c)
			}
		}
	})
}
