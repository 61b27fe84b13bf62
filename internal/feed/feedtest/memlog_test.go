package feedtest

import "testing"

func TestMemLog(t *testing.T) {
	TestStore(t, func(*testing.T) Harness {
		l := NewMemLog()
		return Harness{Store: l, Publish: l.Publish, Trim: l.Trim, Delete: l.Delete, Recreate: l.Recreate}
	})
}
