package filelimit

import "testing"

func TestLimitsForOpenFiles(t *testing.T) {
	for files, want := range map[uint64]struct{ sockets, streams int }{
		0: {0, 0}, 1 << 62: {0, 0}, // unknown, or no limit
		256: {192, 128}, 1024: {768, 512}, 20_000: {19_744, 19_488},
	} {
		if got := Sockets(files); got != want.sockets {
			t.Errorf("%d files: %d sockets, want %d", files, got, want.sockets)
		}
		if got := Streams(files); got != want.streams {
			t.Errorf("%d files: %d streams, want %d", files, got, want.streams)
		}
	}
}

func TestPerAddressFor(t *testing.T) {
	for all, want := range map[int]int{0: 0, 1: 1, 3: 2, 300: 150, 16_000: 8000, 18_000: 9000, 19_744: 14_000, 500_000: 250_000} {
		if got := PerAddress(all, ManySockets); got != want {
			t.Errorf("of %d: %d, want %d", all, got, want)
		}
	}
}
