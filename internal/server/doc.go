// Package server is the process: it puts the rooms together, and starts, watches and stops
// them. It alone sees Echo and zerolog.
//
// # Lifecycle
//
// New binds the HTTP address, starts the embedded NATS server where one is wanted, and
// builds everything; errors of configuration show here. Run serves until its context ends,
// then winds down in the opposite order: not ready, streams told to come back, requests
// ended, feeds and publisher stopped, NATS last. Stop means stopped: when Run has returned no
// goroutine is left.
//
// A NATS server that is not there, at the start or later, ends nothing: clients stay
// connected and wait, /readyz says why.
package server
