// Package doctor checks the configuration of a node and its environment: files, limits, the NATS server
// and its streams, and the path from a client through a proxy.
//
// It reports each finding as ok, warning, problem or skipped, with the remedy.
//
//	report := doctor.Run(ctx, doctor.Options{Config: cfg, Usable: true, Timeout: 40 * time.Second})
//
// Guarantees:
//
//   - Run returns within Options.Timeout.
//   - No leftovers: no stream, consumer, event or file. Permissions are tested with requests that
//     JetStream rejects because of their content. Only Options.Publish stores an event.
//   - Run works with and without a running node of the same configuration.
//
// A NATS server logs each operation without permission.
package doctor
