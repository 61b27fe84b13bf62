//go:build !(linux || darwin)

package doctor

// Not known here: serve reports it when it starts.
func freeBytes(string) (free uint64, known bool) { return 0, false }

func writable(string) error { return nil }
