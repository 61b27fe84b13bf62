package testkit

import (
	"time"
	"unsafe"
)

// ShiftWallClock simulates a wall clock ahead of the real one. It returns t as time.Now would have returned it
// then. d is rounded to whole seconds. The monotonic reading stays the same; t must have one.
//
// Package time has no function for this. ShiftWallClock therefore writes the field of time.Time with the
// seconds, above 30 bits of nanoseconds, and panics if the result is wrong.
func ShiftWallClock(t time.Time, d time.Duration) time.Time {
	shifted := t
	*(*uint64)(unsafe.Pointer(&shifted)) += uint64(int64(d/time.Second)) << 30 //nolint:gosec // G103, G115: see above
	if moved := shifted.Round(0).Sub(t.Round(0)); moved != d.Truncate(time.Second) || shifted.Sub(t) != 0 {
		panic("testkit: time.Time has another layout than expected")
	}
	return shifted
}
