// Package streambackup writes JetStream streams to directories and restores them.
//
//	sum, err := streambackup.Backup(ctx, js, "NOTIFICATIONS", "backups")
//	sum, err = streambackup.Restore(ctx, js, "backups/NOTIFICATIONS", streambackup.RestoreOptions{})
//
// Guarantees:
//
//   - Completeness. A directory with the name of a backup contains the whole backup, because it is renamed
//     after its files are on the disk. A failed or interrupted backup leaves no directory of that name.
//   - Consistency. A backup contains every message acknowledged before its start. Publishers and readers
//     are not interrupted.
//   - No overwriting. [Restore] does not change an existing stream. A failed restore removes its partial
//     stream.
//   - New epoch. A restored stream has a new epoch, so that every position from before the restore leads to
//     a gap. With the old epoch, a position from after the backup would refer to another event, and
//     clients would miss events silently. Restore fails before it starts if it cannot change the epoch.
//
// The files have the format of `nats stream backup` and `nats stream restore`, so both programs can read
// the files of the other.
package streambackup
