package server

import "math"

// reservedFiles are left for everything that is no stream: the store, NATS, publishers, and
// those who are only told to come back later.
const reservedFiles = 512

// streamsFor is how many streams there may be under a limit of open files; 0 for any number.
// Beyond it new connections would hang, without a word.
func streamsFor(files uint64) int {
	if files == 0 || files > math.MaxInt32 {
		return 0
	}
	return int(max(files/2, files-min(files, reservedFiles)))
}
