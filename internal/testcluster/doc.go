// Package testcluster runs several Tidemark nodes behind nginx, over a cluster of NATS servers with
// JetStream, as real processes on loopback, and takes them away again: for tests, and for
// `go run ./cmd/tidemark-cluster`.
//
// The processes read the files that containers read, too: config/nats/nats.conf,
// config/nginx/*, config/cluster.yaml. All that they write is below one directory.
//
// Every process has an owner, a goroutine that waits for its end; Stop ends them all and waits
// for that. On Linux they also end when the program that started them is killed.
//
// Signals other than SIGKILL exist on Unix alone; elsewhere what needs them says so.
package testcluster
