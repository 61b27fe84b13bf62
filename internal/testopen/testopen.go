// Package testopen lets pkg/tidemark/tidemarktest open a feed over a store in memory, without making the
// store a part of the interface of pkg/tidemark.
package testopen

import "github.com/tidemark/tidemark/internal/feed"

// Feed opens a feed over a store. opts is a tidemark.Options, and the result a *tidemark.Feed. Package
// tidemark sets it in its initialization.
var Feed func(store feed.Store, publisher feed.Publisher, opts any) (any, error)
