package doctor

import "fmt"

// Status is the result of a check.
type Status string

// The results, from the best to the worst but for Skipped, which says nothing.
const (
	OK      Status = "ok"
	Warning Status = "warning" // it works, and something should be different
	Problem Status = "problem" // something does not work
	Skipped Status = "skipped" // it could not be examined, or does not apply
)

// Finding is one result of a check.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	Detail string `json:"detail"`
	// Change says what to change: a key of the configuration, a directive of the proxy, a permission.
	// It is empty where nothing is wrong.
	Change string `json:"change,omitempty"`
}

// Report is all that Run found.
type Report struct {
	// Status is the worst of all findings; ok where there is none worse.
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

// warn and problem take what to change first.
func (c *check) warn(change, format string, args ...any)    { c.add(Warning, change, format, args...) }
func (c *check) problem(change, format string, args ...any) { c.add(Problem, change, format, args...) }

// fine reports whether nothing is wrong so far.
func (c *check) fine() bool { return newReport(c.found).Status == OK }
