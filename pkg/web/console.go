package web

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strings"
)

//go:embed console
var consoleFiles embed.FS

// ConsoleOptions say what the console may offer. It works with the rights of whoever opens
// it, and these options grant none.
type ConsoleOptions struct {
	Feeds   []ConsoleFeed `json:"feeds"`   // what can be connected to, the first one at once
	Publish bool          `json:"publish"` // whether /publish is served
	Users   bool          `json:"users"`   // whether ?user= is believed
}

// ConsoleFeed is a feed by its name and path.
type ConsoleFeed struct {
	Name string `json:"name"`
	Path string `json:"path"`
}

// consolePolicy lets the page load what this node serves, and nothing else. Nothing is inline.
const consolePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

var consoleTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// Console serves the page for operators at / and its files at /console/. The page loads
// /client.js, and asks /readyz and /publish, all of the same origin.
func Console(opts ConsoleOptions) http.Handler {
	settings, err := json.Marshal(opts)
	if err != nil {
		panic(err) // of our own types, which have no way to fail
	}
	files := map[string]*asset{"/console/settings.json": newAsset("application/json", settings)}
	entries, err := consoleFiles.ReadDir("console")
	if err != nil {
		panic(err) // they are embedded
	}
	for _, e := range entries {
		content, err := consoleFiles.ReadFile("console/" + e.Name())
		if err != nil {
			panic(err)
		}
		files["/console/"+e.Name()] = newAsset(consoleTypes[path.Ext(e.Name())], content)
	}
	files["/"] = files["/console/index.html"]
	return consolePages(files)
}

type consolePages map[string]*asset

func (c consolePages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file := c[r.URL.Path]
	if file == nil {
		http.Error(w, fmt.Sprintf("the console has no %s", strings.TrimPrefix(r.URL.Path, "/console/")), http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", consolePolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	file.serve(w, r, "no-cache") // with a tag: an update of the node must not mix with what is kept
}
