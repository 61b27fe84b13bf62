package loadtest

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// marker numbers an event of a run. Its text, `tm=RUN/KEY/N/T;`, is anywhere in the data and has no
// character that JSON, a URL or a form would escape.
type marker struct {
	run  string
	key  string // "all", or the user that it is for
	n    int    // counts from 1 for each key
	sent time.Time
}

const markerPrefix = "tm="

func (m marker) String() string {
	return markerPrefix + m.run + "/" + m.key + "/" + strconv.Itoa(m.n) + "/" + strconv.FormatInt(m.sent.UnixNano(), 10) + ";"
}

// payload returns the marker, padded to size bytes. It never shortens the marker.
func (m marker) payload(size int) string {
	text := m.String()
	return text + strings.Repeat("~", max(0, size-len(text)))
}

// findMarker parses the marker in data. It runs for every received event and does not allocate: key
// is a part of data.
func findMarker(data []byte, run string) (key []byte, n int, sent int64, ok bool) {
	_, rest, found := bytes.Cut(data, []byte(markerPrefix))
	if !found || len(rest) <= len(run) || string(rest[:len(run)]) != run {
		return nil, 0, 0, false
	}
	rest = rest[len(run)+1:]
	key, rest, ok1 := bytes.Cut(rest, []byte{'/'})
	number, rest, ok2 := bytes.Cut(rest, []byte{'/'})
	stamp, _, ok3 := bytes.Cut(rest, []byte{';'})
	return key, int(parseDigits(number)), parseDigits(stamp), ok1 && ok2 && ok3
}

func parseDigits(b []byte) (n int64) {
	for _, c := range b {
		n = n*10 + int64(c-'0')
	}
	return n
}
