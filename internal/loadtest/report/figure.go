package report

import (
	"fmt"
	"html/template"

	"github.com/tidemark/tidemark/internal/loadtest"
)

// figure is a plot with its title, what it says in words, and its figures as a table. Without
// data it has words alone.
type figure struct {
	ID, Title, Caption string
	Drawings           []template.HTML
	Table              table
}

type table struct {
	Head []string
	Rows [][]string
}

// drawn adds the drawings of all formats.
func (f figure) drawn(draw func(*canvas)) figure {
	for _, size := range []format{wide, narrow} {
		c := newCanvas(size, f.ID, f.Title, f.Caption)
		draw(c)
		f.Drawings = append(f.Drawings, c.svg())
	}
	return f
}

func figures(r loadtest.Result) []figure {
	series, each := fold(r.Series)
	note := ""
	if each > 1 {
		note = fmt.Sprintf(" Each point covers %d samples: mean of deliveries and p50, highest p99 and maximum, lowest count of clients.", each)
	}
	return []figure{
		distribution(r.Latency),
		percentileCurve(r.Latency),
		throughput(series, note),
		latencyOverTime(series, note),
	}
}
