// Package filelimit derives how many sockets and connections a process may serve from its limit of
// open files. The server enforces the numbers, and tidemark doctor explains them.
package filelimit

import "math"

// Files that are left for what is no socket of a client, such as the store, NATS, certificates and
// operators, and beside these for clients that only receive that they should come back later.
const (
	reservedFiles   = 256
	reservedSockets = 256
)

// Sockets is how many sockets of clients there may be under a limit of open files; 0 for any
// number. Beyond it new connections would wait in the kernel without an answer.
func Sockets(files uint64) int {
	if files == 0 || files > math.MaxInt32 {
		return 0
	}
	return int(max(files/4*3, files-min(files, reservedFiles)))
}

// Streams is how many streams there may be among them.
func Streams(files uint64) int {
	if files == 0 || files > math.MaxInt32 {
		return 0
	}
	return int(max(files/2, files-min(files, reservedFiles+reservedSockets)))
}

// Ten thousand clients behind one address are served by default, also when they reconnect before
// all of their old sockets are gone. They have some sockets beyond their streams: for other requests, and to receive that
// the address has all the streams that it may have.
const (
	ManyStreams = 13_000
	ManySockets = 14_000
)

// PerAddress is how many of all one address may have by default: half, so that it cannot shut
// out the others, but where a quarter is left for them at least many. 0 is any number.
func PerAddress(all, many int) int {
	half := (all + 1) / 2
	if all/4*3 >= many {
		return max(half, many)
	}
	return half
}
