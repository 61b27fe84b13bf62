package problem_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/problem"
	"github.com/tidemark/tidemark/internal/testkit"
)

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
	testkit.Generated(t, "../../docs/reference/errors.md", "codes", table())
}
