package subject

import "strings"

// Overlap reports whether some subject matches both filters.
func Overlap(a, b string) bool {
	for {
		x, xRest, xMore := strings.Cut(a, ".")
		y, yRest, yMore := strings.Cut(b, ".")
		switch {
		case x == ">" || y == ">":
			return true
		case x != y && x != "*" && y != "*":
			return false
		case !xMore || !yMore:
			return xMore == yMore
		}
		a, b = xRest, yRest
	}
}
