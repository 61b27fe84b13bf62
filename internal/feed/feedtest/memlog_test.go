package feedtest

import "testing"

func TestMemLog(t *testing.T) {
	TestLog(t, func(*testing.T) Harness {
		l := NewMemLog()
		return Harness{Log: l, Publish: l.Publish, Trim: l.Trim, Delete: l.Delete, Recreate: l.Recreate}
	})
}
