// Package testkit provides helpers for tests of several packages. Only tests, and programs that start
// servers for tests, import it. It does not depend on other packages of Tidemark.
//
//   - FreePorts returns unused ports and reserves them for the lifetime of the process, also among the
//     processes of a machine.
//   - ShiftWallClock simulates a changed wall clock.
//   - Log stores a log that can be read while it is written.
//   - Eventually polls a condition.
package testkit
