package doctor

import (
	"errors"
	"net/http"
	"net/url"
)

// maxRedirects bounds redirects within one host; browsers follow about as many.
const maxRedirects = 10

// sameHost follows redirects within the host that was named, and returns other ones as the response.
// Options.Header may hold a login of any name, and net/http removes only some headers for another host.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if req.URL.Host != first.Host || first.Scheme == "https" && req.URL.Scheme != "https" {
		return http.ErrUseLastResponse
	}
	if len(via) >= maxRedirects {
		return errors.New("it redirects within its host without end")
	}
	req.Header.Del("Referer") // with the query of the URL, which may hold a token
	return nil
}

// withoutQuery leaves out the query and the user of a URL, which may hold a login.
func withoutQuery(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
