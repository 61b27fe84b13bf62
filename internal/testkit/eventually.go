package testkit

import "time"

// T is the part of a test that Eventually needs. A *testing.T is one; naming it would link package testing
// into what runs servers for tests.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Eventually polls until ok, every 20 ms. What does not come true within that time fails the test, in the
// goroutine that calls.
func Eventually(t T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < within; time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never came: %s", what)
}
