//go:build !(linux || darwin)

package doctor

// Unknown on this system; serve reports an error at its start.
func freeBytes(string) (free uint64, known bool) { return 0, false }

func writable(string) error { return nil }
