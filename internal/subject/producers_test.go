package subject_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/tidemark/tidemark/internal/subject"
)

const document = "../../docs/concepts/user-ids.md"

// documented returns the line of code in docs/concepts/user-ids.md for a language.
func documented(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	_, code, found := strings.Cut(string(text), "```"+language+"\n")
	code, _, ended := strings.Cut(code, "\n```")
	if !found || !ended || strings.Contains(code, "\n") {
		t.Fatalf("%s has no line of %s", document, language)
	}
	return code
}

// everything returns a text with every character of Unicode, and its encoding.
func everything(t *testing.T) (text, want string) {
	var plain, encoded strings.Builder
	for r := range rune(unicode.MaxRune + 1) {
		if !utf8.ValidRune(r) {
			continue
		}
		token, err := subject.Encode(string(r))
		if err != nil {
			t.Fatal(err)
		}
		plain.WriteRune(r)
		encoded.WriteString(token)
	}
	return plain.String(), encoded.String()
}

func firstDifference(got, want string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("at byte %d: %.40q, want %.40q", i, got[i:], want[i:])
		}
	}
	return fmt.Sprintf("%d bytes, want %d", len(got), len(want))
}

var reserved = regexp.MustCompile(`[\p{Z}\p{Cc}\x{feff}.*>%]`)

func inGo(user string) string {
	token := reserved.ReplaceAllStringFunc(user, func(c string) string { return strings.ReplaceAll(fmt.Sprintf(" % X", c), " ", "%") }) // reserved: regexp.MustCompile(`[\p{Z}\p{Cc}\x{feff}.*>%]`)
	return token
}

// The documented rules for producers in other languages result in the same tokens, for every character.
func TestDocumentedCode_EveryCharacter_SameToken(t *testing.T) {
	text, want := everything(t)
	t.Run("go", func(t *testing.T) {
		source, err := os.ReadFile("producers_test.go")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(source), "\t"+documented(t, "go")+"\n") {
			t.Errorf("%s has other Go than this test", document)
		}
		if got := inGo(text); got != want {
			t.Error(firstDifference(got, want))
		}
	})
	for _, c := range []struct{ language, program, flag, before, after string }{
		{"js", "node", "-e", "const user = JSON.parse(require('fs').readFileSync(0, 'utf8'));\n", "\nprocess.stdout.write(JSON.stringify(token));"},
		{"python", "python3", "-c", "import json, re, sys\nuser = json.load(sys.stdin.buffer)\n", "\nsys.stdout.write(json.dumps(token))"},
	} {
		t.Run(c.language, func(t *testing.T) {
			if _, err := exec.LookPath(c.program); err != nil {
				t.Skipf("%v: the code of %s is not tried", err, c.language)
			}
			in, err := json.Marshal(text)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), c.program, c.flag, c.before+documented(t, c.language)+c.after)
			cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
			out, err := cmd.Output()
			var got string
			if err == nil {
				err = json.Unmarshal(out, &got)
			}
			if err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Error(firstDifference(got, want))
			}
		})
	}
}
