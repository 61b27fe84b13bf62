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

// ConsoleOptions selects the functions of the console. They grant no rights: the console uses the
// rights of the user in the browser.
type ConsoleOptions struct {
	Feeds   []ConsoleFeed `json:"feeds"`   // the feeds to choose from; the console connects to the first
	Publish bool          `json:"publish"` // the node serves /publish
	Users   bool          `json:"users"`   // the node accepts ?user=
}

// ConsoleFeed is the name and the path of a feed.
type ConsoleFeed struct {
	Name string `json:"name"`
	Path string `json:"path"`
}

// consolePolicy restricts the page to files of this node, without inline scripts or styles.
const consolePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

var consoleTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// Console serves the page for operators at / and its files at /console/. The page also uses
// /client.js, /readyz and /publish of the same origin.
func Console(opts ConsoleOptions) http.Handler {
	settings, err := json.Marshal(opts)
	if err != nil {
		panic(err) // cannot happen: the options contain strings and booleans only
	}
	files := map[string]*asset{"/console/settings.json": newAsset("application/json", settings)}
	entries, err := consoleFiles.ReadDir("console")
	if err != nil {
		panic(err) // cannot happen: the files are embedded
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
	file.serve(w, r, "no-cache") // browsers revalidate, so that files of two versions are not mixed
}
