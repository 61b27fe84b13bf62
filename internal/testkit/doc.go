// Package testkit is what tests of several packages need, and no more: it is imported by tests and
// by what runs servers for them, and knows nothing of Tidemark.
//
//   - A port from FreePorts is given to nobody else who asks here, in whatever process on this
//     machine, until the process that got it ends, also while nothing listens on it.
//   - ShiftWallClock simulates a wall clock that was set.
//   - A Log may be read while it is written.
//   - Eventually waits for what comes by itself.
package testkit
