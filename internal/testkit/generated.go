package testkit

import (
	"os"
	"strings"
)

// Generated compares a part of a file with the text generated from the code. The part lies between the
// lines "<!-- mark -->" and "<!-- end of mark -->". With TIDEMARK_UPDATE=1 it writes the text instead.
func Generated(t T, file, mark, want string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v", err)
	}
	begin, end := "<!-- "+mark+" -->\n", "<!-- end of "+mark+" -->"
	before, rest, found := strings.Cut(string(raw), begin)
	got, after, ended := strings.Cut(rest, end)
	switch {
	case !found || !ended:
		t.Fatalf("%s has no part between %q and %q", file, begin, end)
	case got == want:
		return
	case os.Getenv("TIDEMARK_UPDATE") == "":
		line, text := firstDifference(got, want)
		t.Fatalf("%s:%d does not follow from the code; write it with TIDEMARK_UPDATE=1. It must have:\n%s",
			file, strings.Count(before+begin, "\n")+line, text)
	}
	if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o600); err != nil { //nolint:gosec // G703: tests name the file
		t.Fatalf("%v", err)
	}
}

// firstDifference returns the number of the first line that differs, counted from one, and the line that want has there.
func firstDifference(got, want string) (line int, text string) {
	had := strings.Split(got, "\n")
	for i, text := range strings.Split(want, "\n") {
		if i >= len(had) || had[i] != text {
			return i + 1, text
		}
	}
	return len(strings.Split(want, "\n")), "(nothing after this line)"
}
