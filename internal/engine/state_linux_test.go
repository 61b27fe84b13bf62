package engine

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Each move of a connection in any test of this package must be in the table.
func init() {
	onMove = func(from, to state) {
		if !slices.Contains(moves[from], to) {
			panic(fmt.Sprintf("a connection moved from %s to %s", stateNames[from], stateNames[to]))
		}
	}
}

var stateNames = [states]string{
	"accepted", "hello", "handshake", "request", "handler", "writing", "blocked", "stalled", "passed", "closed",
}

// The table of the package documentation has the states and moves of the code.
func TestStates_Documentation_HasEachMove(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^//\t([a-z]+) +\| [^|]+\| +([a-z, ]+)$`)
	documented := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(string(doc), -1) {
		documented[m[1]] = m[2]
	}
	for from := range states {
		var names []string
		for _, to := range moves[from] {
			names = append(names, stateNames[to])
		}
		want := strings.Join(names, ", ")
		if want == "" {
			want = "none"
		}
		if got := documented[stateNames[from]]; got != want {
			t.Errorf("%s: documented %q, want %q", stateNames[from], got, want)
		}
	}
	if len(documented) != int(states) {
		t.Errorf("%d states are documented, want %d", len(documented), states)
	}
}
