package doctor

import (
	"errors"
	"net/http"
	"net/url"
)

// maxRedirects is the maximum number of redirects within one host; browsers have similar limits.
const maxRedirects = 10

// sameHost follows redirects within the host of the URL, and returns other redirects as the response.
// Options.Header may contain a login under any name, and net/http removes only some headers for another
// host.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if req.URL.Host != first.Host || first.Scheme == "https" && req.URL.Scheme != "https" {
		return http.ErrUseLastResponse
	}
	if len(via) >= maxRedirects {
		return errors.New("it redirects within its host without end")
	}
	req.Header.Del("Referer") // contains the query of the URL, which may contain a token
	return nil
}

// withoutQuery removes the query and the user of a URL, which may contain a login.
func withoutQuery(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
