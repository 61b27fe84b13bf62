package server

import "testing"

func TestStreamsFor(t *testing.T) {
	for files, want := range map[uint64]int{
		0: 0, 1 << 62: 0, // not known, or no limit
		256: 128, 1024: 512, 20_000: 19_488,
	} {
		if got := streamsFor(files); got != want {
			t.Errorf("%d files: %d streams, want %d", files, got, want)
		}
	}
}
