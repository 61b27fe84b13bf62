package metrics

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const document = "../../docs/reference/metrics.md"

// table is the table in docs/reference/metrics.md. `TIDEMARK_UPDATE=1 go test ./internal/metrics` writes it.
func table() string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | |\n|---|---|---|---|\n")
	for _, d := range all {
		labels := ""
		if len(d.labels) > 0 {
			labels = "`" + strings.Join(d.labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s%s` | %s | %s | %s |\n", prefix, d.name, d.kind, labels, d.help)
	}
	return b.String()
}

func TestDocumentListsAllMetrics(t *testing.T) {
	raw, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- metrics -->\n", "<!-- end -->"
	before, rest, found := strings.Cut(string(raw), begin)
	listed, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no table between %q and %q", document, begin, end)
	}
	if listed == table() {
		return
	}
	if os.Getenv("TIDEMARK_UPDATE") == "" {
		t.Fatalf("%s lists other metrics than there are; write it anew with TIDEMARK_UPDATE=1. It must list:\n%s", document, table())
	}
	if err := os.WriteFile(document, []byte(before+begin+table()+end+after), 0o600); err != nil {
		t.Fatal(err)
	}
}
