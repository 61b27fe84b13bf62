package report

import (
	"testing"
	"time"
)

func TestDuration_Values_AreReadable(t *testing.T) {
	tests := []struct {
		d    time.Duration
		want string
	}{
		{0, "0"}, {999, "999 ns"}, {1500, "1.50 µs"}, {999_600, "1.00 ms"}, {99_960_000, "100 ms"},
		{1234567 * time.Microsecond, "1.23 s"}, {119 * time.Second, "119 s"}, {125 * time.Second, "2 min 5 s"},
		{3 * time.Hour, "3 h"}, {-time.Millisecond, "−1.00 ms"}, {-1 << 63, "−106,751 d 23 h"},
	}
	for _, tt := range tests {
		if got := duration(tt.d); got != tt.want {
			t.Errorf("duration(%d) = %q, want %q", tt.d, got, tt.want)
		}
	}
}

func TestShare_NearlyAll_IsNot100Percent(t *testing.T) {
	for _, tt := range []struct {
		part, whole float64
		want        string
	}{{0, 0, none}, {0, 5, "0 %"}, {5, 5, "100 %"}, {99999999, 1e8, "> 99.99 %"}, {1, 1e8, "< 0.01 %"}, {1, 8, "12.5 %"}} {
		if got := share(tt.part, tt.whole); got != tt.want {
			t.Errorf("share(%v, %v) = %q, want %q", tt.part, tt.whole, got, tt.want)
		}
	}
}
