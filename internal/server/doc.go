// Package server is a Tidemark node: it builds the parts, binds the listeners, and starts, drains and stops them.
//
//	s, err := server.New(ctx, server.Options{...})
//	if err != nil { ... }
//	err = s.Run(ctx) // until ctx ends
//
// The parts of a node are in other packages, which do not import this one: connections in internal/feedhttp and
// internal/engine, streams in internal/backend and internal/streamkeeper, the admin API in internal/admin and
// internal/health, revocations in internal/revocation. The package has the steps that build them ([New]), the
// routes, the listeners, and the drain.
//
// # Lifecycle
//
// New binds the HTTP address, starts the embedded NATS server if no other server is configured, and builds
// everything. It returns errors of the configuration. Run serves until its context ends. Then the node reports
// that it is not ready, closes its connections, waits for requests, stops feeds and publisher, and at last
// disconnects from NATS. When Run has returned, no goroutine is left.
//
// A node starts without NATS, and survives its loss: clients stay connected and wait, and /readyz reports the
// reason.
package server
