package report

import (
	"regexp"
	"strings"
	"unicode"
)

// Templates such as {user} keep a URL from being parsed, so patterns do the masking.
var (
	userinfo = regexp.MustCompile(`://[^/?#@\s]+@`)
	secret   = regexp.MustCompile(`(?i)([?&][^=&\s]*(?:token|jwt|secret|passw|key|auth|sig)[^=&\s]*=)[^&#\s"]+`)
)

// plain makes s fit to be shown: one line, no control characters, no secrets of URLs. It also
// takes out format characters, which can turn the direction of what follows.
func plain(s string) string {
	s = userinfo.ReplaceAllString(s, "://…@")
	s = secret.ReplaceAllString(s, "${1}…")
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || unicode.Is(unicode.Cf, c) || c == '\u2028' || c == '\u2029' {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
}
