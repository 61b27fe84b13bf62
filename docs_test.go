package tidemark_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents are the pages that users read.
func documents(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob("docs/*/*.md")
	if err != nil || len(pages) < 30 {
		t.Fatalf("%d pages, %v; does the test run at the module's root?", len(pages), err)
	}
	return append(pages, "docs/README.md", "README.md", "CONTRIBUTING.md", "examples/README.md", "pkg/web/client/README.md")
}

func read(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// runOrNot matches the mark above a block of commands. e2e runs blocks with <!-- tour --> and <!-- run -->
// (TestTour, TestDocumentsRun).
var runOrNot = regexp.MustCompile(`^<!-- (run|tour|not run: .+) -->$`)

// Each block of commands is run by a test, or contains the reason for not running it. Otherwise blocks
// become outdated.
func TestCommandsAreRunOrSayWhyNot(t *testing.T) {
	for _, name := range documents(t) {
		lines := strings.Split(read(t, name), "\n")
		for i, line := range lines {
			if !slices.Contains([]string{"```sh", "```bash", "```shell", "```console"}, strings.TrimSpace(line)) {
				continue
			}
			if i == 0 || !runOrNot.MatchString(strings.TrimSpace(lines[i-1])) {
				t.Errorf("%s:%d: put <!-- run -->, or <!-- not run: WHY -->, above this block", name, i+1)
			}
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// Links to files and headings of this repository lead somewhere.
func TestLinksLeadSomewhere(t *testing.T) {
	for _, name := range documents(t) {
		for _, found := range link.FindAllStringSubmatch(read(t, name), -1) {
			target, heading, _ := strings.Cut(found[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := name
			if target != "" {
				file = filepath.Join(filepath.Dir(name), target)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %s leads nowhere", name, found[1])
				continue
			}
			if heading != "" && strings.HasSuffix(file, ".md") && !slices.Contains(headings(read(t, file)), heading) {
				t.Errorf("%s: %s has no heading #%s", name, file, heading)
			}
		}
	}
}

// headings are the names by which links know the headings of a page.
func headings(page string) (names []string) {
	for line := range strings.Lines(page) {
		text := strings.TrimLeft(line, "#")
		if text == line || !strings.HasPrefix(text, " ") {
			continue
		}
		text = strings.ToLower(strings.TrimSpace(text))
		text = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(text, "")
		names = append(names, strings.ReplaceAll(text, " ", "-"))
	}
	return names
}
