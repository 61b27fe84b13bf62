package transports

import (
	"net/http"
	"strings"
)

// browser returns the headers that a browser sends with a request to its own site. They stay
// short of what Chromium sends, whose client hints would add another 150 bytes.
func browser(origin string, cookie int) http.Header {
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

// cookies returns a header of that size, its name and the end of its line included.
func cookies(size int) string {
	const around = len("Cookie: session=\r\n")
	return "session=" + strings.Repeat("c", max(1, size-around))
}
