package testkit

import "time"

// T is the part of *testing.T used by Eventually. With *testing.T itself, programs that start servers for
// tests would depend on package testing.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Eventually polls a condition every 20 ms. If it is not true in time, the test fails in the calling
// goroutine.
func Eventually(t T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < within; time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never came: %s", what)
}
