package main

import (
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"
)

// The screen of a terminal.
const (
	screenRows    = 24
	screenColumns = 80
)

// screen fails if the output of the last command, or the named files, do not fit into a screen. With "lines" as its
// argument, lines longer than the width of the screen count once.
func screen(ts *testscript.TestScript, _ bool, args []string) {
	whole := len(args) > 0 && args[0] == "lines"
	if whole {
		args = args[1:]
	}
	if len(args) == 0 {
		args = []string{"stdout", "stderr"}
	}
	rows := 0
	var shown strings.Builder
	for _, name := range args {
		for line := range strings.Lines(ts.ReadFile(name)) {
			shown.WriteString(line)
			rows++
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > screenColumns && !whole {
				rows += (n - 1) / screenColumns
			}
		}
	}
	if rows == 0 || rows > screenRows {
		ts.Fatalf("%d rows, want 1 to %d:\n%s", rows, screenRows, shown.String())
	}
}

// columns fails if a line of the last command's output is wider than the screen.
func columns(ts *testscript.TestScript, _ bool, _ []string) {
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > screenColumns {
			ts.Fatalf("%d columns: %s", n, line)
		}
	}
}

// awaitText blocks until a file has a text.
func awaitText(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: await-text FILE TEXT")
	}
	content := ""
	for range 2400 {
		if text, err := os.ReadFile(ts.MkAbs(args[0])); err == nil {
			if content = string(text); strings.Contains(content, args[1]) {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("%s never had %q:\n%s", args[0], args[1], content)
}
