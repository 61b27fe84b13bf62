package transports

import (
	"net/http"
	"strings"
)

// browserHeaders returns the headers that a browser sends with a request to the site of its page.
// Chromium sends another 150 bytes of client hints.
func browserHeaders(origin string, cookie int) http.Header {
	h := http.Header{
		"User-Agent":      {"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
		"Accept":          {"*/*"},
		"Accept-Language": {"en-US,en;q=0.5"},
		"Accept-Encoding": {"gzip, deflate, br, zstd"},
		"Referer":         {origin + "/"},
		"Sec-Fetch-Dest":  {"empty"},
		"Sec-Fetch-Mode":  {"cors"},
		"Sec-Fetch-Site":  {"same-origin"},
	}
	if cookie > 0 {
		h.Set("Cookie", cookies(cookie))
	}
	return h
}

// cookies returns a header of that size, including its name and the end of the line.
func cookies(size int) string {
	const around = len("Cookie: session=\r\n")
	return "session=" + strings.Repeat("c", max(1, size-around))
}
