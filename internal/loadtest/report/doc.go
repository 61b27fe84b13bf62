// Package report shows what a run of the load stand found: as text for a terminal, as one
// HTML page, and as a line that moves while the run lasts.
//
//   - All three take a [loadtest.Result] or a [loadtest.Sample] as it is and never change it. A
//     run without samples, without deliveries or with absurd values is shown too.
//   - A report is made to be passed on: user names, passwords and tokens in URLs are masked, also
//     where a server's answer repeats them.
//   - What a server said is shown as text: it cannot move the cursor of a terminal, nor add
//     markup to the page.
//   - The page loads nothing and runs no script. Every plot has its figures in a table below.
package report
