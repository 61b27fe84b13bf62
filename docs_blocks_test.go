package tidemark_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/config"
)

// block is a fenced block of a page, with the comment above it.
type block struct {
	page     string
	line     int // of the fence
	language string
	mark     string
	text     string
}

func blocks(t *testing.T, page string) (all []block) {
	t.Helper()
	lines := strings.Split(read(t, page), "\n")
	for i := 0; i < len(lines); i++ {
		language, fenced := strings.CutPrefix(strings.TrimSpace(lines[i]), "```")
		if !fenced {
			continue
		}
		b := block{page: page, line: i + 1, language: language}
		if i > 0 {
			b.mark = strings.TrimSpace(lines[i-1])
		}
		var body []string
		for i++; i < len(lines) && strings.TrimSpace(lines[i]) != "```"; i++ {
			body = append(body, lines[i])
		}
		b.text = strings.Join(body, "\n")
		all = append(all, b)
	}
	return all
}

var (
	configMark = regexp.MustCompile(`^<!-- config -->$`)
	fromMark   = regexp.MustCompile(`^<!-- from (\S+) -->$`)
	testedMark = regexp.MustCompile(`^<!-- tested: (Test\w+) in (\S+) -->$`)
	notRunMark = regexp.MustCompile(`^<!-- not run: .+ -->$`)
)

// A block that readers copy into a proxy, a page or a producer is loaded by a test, quoted from a tested
// file, or run by the named test. Blocks without a language, and JSON, show the output of programs.
func TestBlocks_OfCodeAndConfiguration_AreTestedOrSayWhyNot(t *testing.T) {
	for _, page := range documents(t) {
		for _, b := range blocks(t, page) {
			switch b.language {
			case "", "json", "sh", "bash", "shell", "console": // the latter: TestCommandsAreRunOrSayWhyNot
				continue
			}
			if problem := b.check(t); problem != "" {
				t.Errorf("%s:%d: %s", b.page, b.line, problem)
			}
		}
	}
}

func (b block) check(t *testing.T) (problem string) {
	t.Helper()
	if configMark.MatchString(b.mark) {
		return b.checkConfig(t)
	}
	if found := fromMark.FindStringSubmatch(b.mark); found != nil {
		return b.checkQuoted(t, found[1])
	}
	if found := testedMark.FindStringSubmatch(b.mark); found != nil {
		return checkTest(t, found[1], found[2])
	}
	if notRunMark.MatchString(b.mark) {
		return ""
	}
	return "put <!-- config -->, <!-- from FILE -->, <!-- tested: TestNAME in FOLDER -->, or <!-- not run: WHY --> above this block"
}

// checkConfig loads the block as the configuration of a node.
func (b block) checkConfig(t *testing.T) (problem string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tidemark.yaml")
	if err := os.WriteFile(file, []byte(b.text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(config.Options{Serve: true, File: file, Environ: []string{}}); err != nil {
		return "serve refuses this configuration: " + err.Error()
	}
	return ""
}

var lineComment = regexp.MustCompile(`\s+# .*$`)

// checkQuoted checks that the file contains each line, in this order. Indentation and comments may differ.
func (b block) checkQuoted(t *testing.T, file string) (problem string) {
	t.Helper()
	left := strings.Split(read(t, file), "\n")
	for line := range strings.SplitSeq(b.text, "\n") {
		want := lineComment.ReplaceAllString(strings.TrimSpace(line), "")
		for ; len(left) > 0 && lineComment.ReplaceAllString(strings.TrimSpace(left[0]), "") != want; left = left[1:] {
		}
		if len(left) == 0 {
			return file + " does not have, in this order: " + want
		}
		left = left[1:]
	}
	return ""
}

func checkTest(t *testing.T, name, folder string) (problem string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.Contains(read(t, file), "\nfunc "+name+"(") {
			return ""
		}
	}
	return "there is no " + name + " in " + folder
}
