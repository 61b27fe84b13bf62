package web

import (
	"bytes"
	_ "embed"
	"net/http"
	"sync"

	"github.com/tdewolff/minify/v2"
	"github.com/tdewolff/minify/v2/js"
)

//go:embed client/tidemark.js
var clientSource []byte

//go:embed client/tidemark.d.ts
var clientTypes []byte

// client is the minified source: without comments and spaces, and with short names.
var client = sync.OnceValue(func() *asset {
	var small bytes.Buffer
	if err := js.Minify(minify.New(), &small, bytes.NewReader(clientSource), nil); err != nil {
		panic("the client library: " + err.Error()) // cannot happen: the source is embedded and tested
	}
	return newAsset("text/javascript; charset=utf-8", small.Bytes())
})

// Client serves the client library, an ES module of less than 6 KB, to pages of every origin.
// Browsers cache it for 5 minutes.
func Client() http.Handler { return allowAllOrigins(client()) }

// ClientTypes serves the TypeScript declarations of the client library in the same way.
func ClientTypes() http.Handler {
	return allowAllOrigins(newAsset("text/plain; charset=utf-8", clientTypes))
}
