package admin

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/health"
)

// FeedState is one feed of GET /admin/feeds. Feeds of one stream share its window and tail.
type FeedState struct {
	Name     string        `json:"name"`
	Stream   string        `json:"stream"`
	Paths    []string      `json:"paths"`
	Subjects []string      `json:"subjects"`
	Allow    []string      `json:"allow"`
	Window   health.Window `json:"window"`
	Tail     health.Tail   `json:"tail"`

	Connections FeedConnections `json:"connections"`
}

// FeedConnections count the connections of a feed. A connection is slow when events have been ready for 1 s and
// the client accepted none.
type FeedConnections struct {
	Live      int `json:"live"`
	Replaying int `json:"replaying"`
	Slow      int `json:"slow"`
	// Forms are the open connections by the form of their response.
	Forms map[string]int `json:"forms"`
}

func (a *API) getFeeds(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), health.Timeout)
	defer cancel()
	tails := map[string]health.Tail{}
	all := []FeedState{}
	for _, f := range a.opts.Feeds {
		if _, known := tails[f.Stream]; !known {
			tails[f.Stream] = health.TailOf(ctx, f.Events)
		}
		status := f.Handler.Status()
		all = append(all, FeedState{
			Name: f.Name, Stream: f.Stream, Paths: f.Paths, Subjects: f.Subjects, Allow: f.Allow,
			Window: health.WindowOf(f.Events), Tail: tails[f.Stream],
			Connections: FeedConnections{status.Live, status.Replaying, status.Slow, forms(status)},
		})
	}
	slices.SortFunc(all, func(a, b FeedState) int { return cmp.Compare(a.Name, b.Name) })
	return c.JSON(http.StatusOK, map[string][]FeedState{"feeds": all})
}

func forms(status feedhttp.SubscribeStatus) map[string]int {
	open := make(map[string]int, len(status.Forms))
	for form, n := range status.Forms {
		open[feedhttp.Form(form).String()] = n.Live + n.Replaying + n.Slow
	}
	return open
}
