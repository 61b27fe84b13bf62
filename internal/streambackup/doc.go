// Package streambackup writes streams of JetStream to directories and restores them.
//
// Guarantees:
//   - A directory that [Backup] has made holds a whole backup: it gets its name when its files are
//     on the disk. A failed or interrupted backup leaves no directory of that name.
//   - A backup holds every message that was acknowledged before it began. Publishers and readers
//     continue while it is made.
//   - [Restore] changes no stream that exists. A restore that fails removes the stream that it began.
//   - A restored stream has an epoch of its own, so that every position from before the restore
//     leads to a gap. Without that, positions that were given after the backup would lead to other
//     events, and clients would miss events silently. Restore refuses to begin where it cannot hold that.
//
// The files are those of `nats stream backup` and `nats stream restore`, and either program reads
// those of the other.
package streambackup
