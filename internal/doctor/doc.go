// Package doctor examines a node's configuration and what surrounds it: files, limits, the NATS
// server, its streams, and the way from a client through a proxy. It reports each finding as ok,
// warning, problem or skipped, with what to change.
//
//	report := doctor.Run(ctx, doctor.Options{Config: cfg, Usable: true, Timeout: 40 * time.Second})
//
// Guarantees:
//   - Run returns when Options.Timeout has passed, or somewhat earlier.
//   - Nothing is left behind: no stream, consumer, event or file. Permissions are tried with requests
//     that JetStream refuses for their content. Options.Publish alone stores an event.
//   - It works beside a node that runs on the same configuration, and without one.
//
// A NATS server logs each operation that it does not permit.
package doctor
