package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

// asset is a file that is the same for everybody, also compressed.
type asset struct {
	mediaType    string
	plain, small []byte
	tag          string // of the content, without quotes
}

func newAsset(mediaType string, content []byte) *asset {
	sum := sha256.Sum256(content)
	return &asset{
		mediaType: mediaType, plain: content, small: compress(content),
		tag: base64.RawURLEncoding.EncodeToString(sum[:12]),
	}
}

func compress(content []byte) []byte {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // a buffer takes everything
	}
	return out.Bytes()
}

// maxAge lets a page load without asking, and an update of the node reach everybody soon.
const maxAge = "public, max-age=300"

func (a *asset) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.serve(w, r, maxAge) }

// serve leaves conditions, ranges and HEAD to net/http.
func (a *asset) serve(w http.ResponseWriter, r *http.Request, cache string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, r.Method+" is not served here; use GET", http.StatusMethodNotAllowed)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.mediaType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", cache)
	h.Add("Vary", "Accept-Encoding")
	content, tag := a.plain, a.tag
	if takesGzip(r) {
		content, tag = a.small, a.tag+"-gzip"
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// takesGzip: a list without gzip, and one that refuses it (q=0), gets the plain content. A
// range counts plain bytes, whatever else the client takes.
func takesGzip(r *http.Request) bool {
	if r.Header.Get("Range") != "" {
		return false
	}
	for coding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if strings.TrimSpace(name) == "gzip" {
			return strings.Trim(strings.TrimSpace(q), "q=0.") != "" || q == ""
		}
	}
	return false
}

// anywhere lets pages of every origin load what a handler serves. It is for files that are
// the same for everybody and say nothing about anybody.
func anywhere(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Del("Access-Control-Allow-Credentials") // which CORS of the whole process may have set, and * forbids
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		next.ServeHTTP(w, r)
	})
}
