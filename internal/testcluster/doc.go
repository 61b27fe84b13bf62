// Package testcluster runs a cluster of Tidemark nodes behind nginx, with a cluster of NATS servers, as
// real processes on loopback.
//
// Use it in tests; `go run ./cmd/tidemark-cluster` uses it, too:
//
//	t, err := testcluster.Start(ctx, testcluster.Options{Dir: dir, Nginx: true})
//	...
//	defer t.Stop()
//	err = t.Ready(ctx)
//
// The processes use the same configuration files as the containers: config/nats/nats.conf, config/nginx/*,
// config/cluster.yaml. They write below one directory only.
//
// A goroutine waits for the end of each process. Stop ends all processes and waits for these goroutines.
// On Linux, the processes also end when the program that started them is killed.
//
// Signals other than SIGKILL exist on Unix only. Elsewhere, functions that need them return an error.
package testcluster
