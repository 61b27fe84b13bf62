package doctor

import "fmt"

// Status is the result of a check.
type Status string

// The statuses, from the best to the worst, except Skipped.
const (
	OK      Status = "ok"
	Warning Status = "warning" // it works, but should be changed
	Problem Status = "problem" // something does not work
	Skipped Status = "skipped" // not checked, or not applicable
)

// Finding is one result of a check.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	Detail string `json:"detail"`
	// Change is the remedy: a key of the configuration, a directive of the proxy, or a permission. It is
	// empty for an ok finding.
	Change string `json:"change,omitempty"`
}

// Report contains the findings of Run.
type Report struct {
	// Status is the worst status of all findings.
	Status   Status    `json:"status"`
	Findings []Finding `json:"findings"`
}

func newReport(findings []Finding) Report {
	r := Report{Status: OK, Findings: findings}
	for _, f := range findings {
		switch {
		case f.Status == Problem:
			r.Status = Problem
		case f.Status == Warning && r.Status == OK:
			r.Status = Warning
		}
	}
	return r
}

// check collects the findings of one check. It is not safe for concurrent use.
type check struct {
	name  string
	found []Finding
}

func (c *check) add(status Status, change, format string, args ...any) {
	c.found = append(c.found, Finding{Check: c.name, Status: status, Detail: fmt.Sprintf(format, args...), Change: change})
}

func (c *check) ok(format string, args ...any)   { c.add(OK, "", format, args...) }
func (c *check) skip(format string, args ...any) { c.add(Skipped, "", format, args...) }

// warn and problem have the remedy as their first argument.
func (c *check) warn(change, format string, args ...any)    { c.add(Warning, change, format, args...) }
func (c *check) problem(change, format string, args ...any) { c.add(Problem, change, format, args...) }

// fine reports whether there is no problem so far.
func (c *check) fine() bool { return newReport(c.found).Status == OK }
