// Package report shows the result of a load test: as text for a terminal, as an HTML page, and as a
// progress line while the run lasts.
//
//   - All three read a [loadtest.Result] or a [loadtest.Sample] and do not change it. They show any
//     values, also a run without samples or deliveries.
//   - User names, passwords and tokens in URLs are masked, because reports are passed on; also in
//     answers of a server that repeat them.
//   - Texts from a server cannot move the cursor of a terminal or add markup to the page.
//   - The page loads nothing and runs no script. Every plot has its values in a table below.
package report
