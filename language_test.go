package tidemark_test

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	pendingFile    = "testdata/language_pending.txt"
	exceptionsFile = "testdata/language_exceptions.txt"
)

// TestLanguage reads the comments, documents, flag usages, errors and log messages of the whole repository against
// the rules of language_rules_test.go.
//
// testdata/language_pending.txt lists the paths that are not rewritten yet, each with the findings that it may have.
// A path leaves the list when it has none. TIDEMARK_UPDATE=1 lowers the numbers to the findings of today.
// testdata/language_exceptions.txt lists the sentences that stay, each with the reason.
//
//	TIDEMARK_LANGUAGE=internal/feed go test -run 'TestLanguage$' .   # prints the findings of a path
//	TIDEMARK_LANGUAGE=all go test -run 'TestLanguage$' .             # prints the count of each path
func TestLanguage(t *testing.T) {
	found := languageFindings(t)
	if show := os.Getenv("TIDEMARK_LANGUAGE"); show != "" {
		showFindings(t, found, filepath.ToSlash(filepath.Clean(show)))
		return
	}
	pending := readPending(t)
	update := os.Getenv("TIDEMARK_UPDATE") == "1"
	for _, unit := range slices.Sorted(maps.Keys(found)) {
		count, limit := len(found[unit]), pending[unit]
		switch {
		case count > limit:
			for _, f := range found[unit] {
				if limit == 0 {
					t.Error(f)
				}
			}
			t.Errorf("%s has %d findings, and may have %d; TIDEMARK_LANGUAGE=%s go test -run 'TestLanguage$' . prints them", unit, count, limit, unit)
		case update:
			pending[unit] = count
		}
	}
	for _, unit := range slices.Sorted(maps.Keys(pending)) {
		if len(found[unit]) > 0 {
			continue
		}
		if delete(pending, unit); !update {
			t.Errorf("%s has no findings left; remove it from %s", unit, pendingFile)
		}
	}
	if update {
		writePending(t, pending)
	}
}

func (f languageFinding) String() string {
	return fmt.Sprintf("%s:%d: %s: %q; %s", f.file, f.line, f.rule, f.words, f.remedy)
}

// showFindings fails, as the output of a test that passes is not shown.
func showFindings(t *testing.T, found map[string][]languageFinding, show string) {
	t.Helper()
	var text strings.Builder
	for _, unit := range slices.Sorted(maps.Keys(found)) {
		if show == "all" {
			fmt.Fprintln(&text, unit, len(found[unit]))
			continue
		}
		for _, f := range found[unit] {
			if f.file == show || strings.HasPrefix(f.file, show+"/") {
				fmt.Fprintln(&text, f)
			}
		}
	}
	if text.Len() > 0 {
		t.Error("\n" + text.String())
	}
}

// languageFindings returns the findings by unit: a directory of code, or a file of documents and configuration.
func languageFindings(t *testing.T) map[string][]languageFinding {
	t.Helper()
	found := make(map[string][]languageFinding)
	exceptions := readExceptions(t)
	read := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "node_modules" {
				return filepath.SkipDir
			}
			return skipDir(d.Name())
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		texts, docs := passages(t, name, string(raw))
		read += len(texts)
		var of []languageFinding
		for _, p := range texts {
			of = append(of, p.check()...)
		}
		for _, d := range docs {
			of = append(of, checkDoc(d)...)
		}
		of = slices.DeleteFunc(of, exceptions.allow)
		slices.SortStableFunc(of, func(a, b languageFinding) int { return cmp.Compare(a.line, b.line) })
		if len(of) > 0 {
			found[languageUnit(name)] = append(found[languageUnit(name)], of...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if read < 5000 {
		t.Errorf("only %d passages were read; does the test run at the module's root?", read)
	}
	exceptions.checkUsed(t)
	return found
}

func languageUnit(name string) string {
	dir := path.Dir(name)
	if dir == "." || strings.HasPrefix(name, "docs/") || strings.HasPrefix(name, "config/") {
		return name
	}
	return dir
}

// readPending reads lines of a path and a count.
func readPending(t *testing.T) map[string]int {
	t.Helper()
	pending := make(map[string]int)
	for _, fields := range listLines(t, pendingFile, " ") {
		count, err := strconv.Atoi(fields[len(fields)-1])
		if err != nil || len(fields) != 2 || count < 1 {
			t.Fatalf("%s: %q is not a path and a count", pendingFile, strings.Join(fields, " "))
		}
		pending[fields[0]] = count
	}
	return pending
}

func writePending(t *testing.T, pending map[string]int) {
	t.Helper()
	text := "# Paths whose texts are not rewritten yet, and how many findings of TestLanguage each may have.\n" +
		"# A number only falls: TIDEMARK_UPDATE=1 go test -run 'TestLanguage$' .\n"
	for _, unit := range slices.Sorted(maps.Keys(pending)) {
		text += fmt.Sprintf("%s %d\n", unit, pending[unit])
	}
	if err := os.WriteFile(pendingFile, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// languageException allows findings of one file whose words contain its text.
type languageException struct {
	file, text string
	used       bool
}

type languageExceptions []*languageException

// readExceptions reads lines of a file, a part of the sentence and the reason, with " | " between them.
func readExceptions(t *testing.T) (all languageExceptions) {
	t.Helper()
	for _, fields := range listLines(t, exceptionsFile, " | ") {
		if len(fields) != 3 || len(fields[2]) < 10 {
			t.Fatalf("%s: %q is not file | words | reason", exceptionsFile, strings.Join(fields, " | "))
		}
		all = append(all, &languageException{file: fields[0], text: fields[1]})
	}
	return all
}

func (all languageExceptions) allow(f languageFinding) bool {
	for _, e := range all {
		if e.file == f.file && strings.Contains(f.words, e.text) {
			e.used = true
			return true
		}
	}
	return false
}

func (all languageExceptions) checkUsed(t *testing.T) {
	t.Helper()
	for _, e := range all {
		if !e.used {
			t.Errorf("%s: the exception %q of %s matches nothing; remove it", exceptionsFile, e.text, e.file)
		}
	}
}

// listLines splits the lines of a file; empty lines and comments are left out.
func listLines(t *testing.T, name, separator string) (all [][]string) {
	t.Helper()
	for line := range strings.SplitSeq(read(t, name), "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, strings.Split(line, separator))
		}
	}
	return all
}
