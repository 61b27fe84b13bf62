package report

import (
	"io"

	"github.com/tidemark/tidemark/pkg/loadgen"
)

// HTML is to come; until then it writes the text.
func HTML(w io.Writer, r loadgen.Result) error { return Text(w, r) }
