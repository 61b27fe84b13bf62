package problem_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/problem"
)

const document = "../../docs/reference/errors.md"

// table returns the list of codes in the document. `TIDEMARK_UPDATE=1 go test ./internal/problem` writes it.
func table() string {
	var b strings.Builder
	b.WriteString("| code | status | title | remedy |\n|---|---|---|---|\n")
	for _, k := range problem.Kinds() {
		fmt.Fprintf(&b, "| `%s` | %d | %s | %s |\n", k.Code, k.Status, k.Title, strings.NewReplacer("<", "&lt;", "|", "\\|").Replace(k.Remedy))
	}
	return b.String()
}

func TestDocument_Codes_AreThoseOfTheTable(t *testing.T) {
	raw, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- codes -->\n", "<!-- end of codes -->"
	before, rest, found := strings.Cut(string(raw), begin)
	listed, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no table between %q and %q", document, begin, end)
	}
	if listed == table() {
		return
	}
	if os.Getenv("TIDEMARK_UPDATE") == "" {
		t.Fatalf("%s lists other codes; write it with TIDEMARK_UPDATE=1. It must list:\n%s", document, table())
	}
	if err := os.WriteFile(document, []byte(before+begin+table()+end+after), 0o600); err != nil {
		t.Fatal(err)
	}
}
