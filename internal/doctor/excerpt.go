package doctor

import (
	"regexp"
	"strings"
)

// maxPage is the number of bytes read for a quote, and maxExcerpt the maximum number of quoted characters.
const (
	maxPage    = 16 << 10
	maxExcerpt = 160
)

var title = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)

// excerpt quotes a response: the title of a page, or else the first line with text. The result has a
// limited length and no line break. Other control characters are escaped by the printer of the Report.
func excerpt(body string) string {
	text := ""
	if found := title.FindStringSubmatch(body); found != nil {
		text = found[1]
	}
	for line := range strings.SplitSeq(body, "\n") {
		if strings.TrimSpace(text) != "" {
			break
		}
		text = line
	}
	return shorten(text)
}

// shorten puts text into one line of limited length.
func shorten(text string) string {
	runes := []rune(strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " "))
	if len(runes) > maxExcerpt {
		return string(runes[:maxExcerpt]) + "..."
	}
	return string(runes)
}
