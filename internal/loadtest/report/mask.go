package report

import (
	"regexp"
	"strings"
	"unicode"
)

// A URL with a template such as {user} cannot be parsed, so patterns mask it.
var (
	userinfo = regexp.MustCompile(`://[^/?#@\s]+@`)
	secret   = regexp.MustCompile(`(?i)([?&][^=&\s]*(?:token|jwt|secret|passw|key|auth|sig)[^=&\s]*=)[^&#\s"]+`)
)

// plain returns s as one line without control characters and without secrets of URLs. It also removes
// format characters, which can change the direction of the text.
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
