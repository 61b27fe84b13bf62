package testkit

import (
	"time"
	"unsafe"
)

// ShiftWallClock returns t as time.Now would have returned it under a wall clock that is ahead by
// whole seconds of d. The monotonic reading stays; t must have one.
//
// Package time has no function for this, so it writes the field of a time.Time that holds the
// seconds above 30 bits of nanoseconds, and panics where the result is not what it should be.
func ShiftWallClock(t time.Time, d time.Duration) time.Time {
	shifted := t
	*(*uint64)(unsafe.Pointer(&shifted)) += uint64(int64(d/time.Second)) << 30 //nolint:gosec // G103, G115: see above
	if moved := shifted.Round(0).Sub(t.Round(0)); moved != d.Truncate(time.Second) || shifted.Sub(t) != 0 {
		panic("testkit: time.Time has another layout than expected")
	}
	return shifted
}
