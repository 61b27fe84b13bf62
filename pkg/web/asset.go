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

// asset is a static file, plain and compressed.
type asset struct {
	mediaType    string
	plain, small []byte
	tag          string // the ETag without quotes
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
		panic(err) // cannot happen: a bytes.Buffer accepts all data
	}
	return out.Bytes()
}

// maxAge avoids a request at each load of a page. After an update of the node, browsers load the new
// file within 5 minutes.
const maxAge = "public, max-age=300"

func (a *asset) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.serve(w, r, maxAge) }

// serve writes the file. net/http handles conditional requests, ranges and HEAD.
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
	if acceptsGzip(r) {
		content, tag = a.small, a.tag+"-gzip"
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// acceptsGzip reports whether Accept-Encoding lists gzip without q=0. It is false for a range request,
// because ranges count bytes of the plain content.
func acceptsGzip(r *http.Request) bool {
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

// allowAllOrigins lets pages of every origin load the files of a handler. Use it only for public files
// without user data.
func allowAllOrigins(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Del("Access-Control-Allow-Credentials") // may be set by an outer CORS handler; not allowed together with *
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		next.ServeHTTP(w, r)
	})
}
