package feedtest

import "testing"

func TestMemStore_Suite_Passes(t *testing.T) {
	TestStore(t, func(*testing.T) Harness {
		l := NewMemStore()
		return Harness{Store: l, Publish: l.Publish, End: l.PublishEnd, Trim: l.Trim, Delete: l.Delete, Recreate: l.Recreate}
	})
}
