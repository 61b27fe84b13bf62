package metrics

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/testkit"
)

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
	testkit.Generated(t, "../../docs/reference/metrics.md", "metrics", table())
}
