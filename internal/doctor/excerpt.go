package doctor

import (
	"regexp"
	"strings"
)

// maxPage is how much of a page is read to quote it, and maxExcerpt how many characters are quoted.
const (
	maxPage    = 16 << 10
	maxExcerpt = 160
)

var title = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)

// excerpt quotes a response: the title of a page, else the first line that has text. It is bounded, has
// no line break, and escapes no other control character: a Report is data, and its printer does that.
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

// shorten puts text into one line of bounded length.
func shorten(text string) string {
	runes := []rune(strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " "))
	if len(runes) > maxExcerpt {
		return string(runes[:maxExcerpt]) + "..."
	}
	return string(runes)
}
