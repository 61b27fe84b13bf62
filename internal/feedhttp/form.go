package feedhttp

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/problem"
	"github.com/tidemark/tidemark/pkg/auth"
)

// Form is the form of a response. The header Accept selects it, and ?envelope=1.
type Form uint8

// The forms.
const (
	FormSSE      Form = iota // events as they were published
	FormEnvelope             // SSE with CloudEvents JSON as the data
	FormNDJSON               // a line of CloudEvents JSON for each event
	FormJSON                 // a page of events, and the end of the response
	forms
)

var formNames = [forms]string{"sse", "envelope", "ndjson", "json"}

// String returns the name in metrics and lists.
func (f Form) String() string { return formNames[f] }

// FormNames returns the names of all forms.
func FormNames() []string { return slices.Clone(formNames[:]) }

// mediaTypes are the content types of responses, in the order of preference.
var mediaTypes = [...]struct {
	name string
	form Form
}{
	{"text/event-stream", FormSSE},
	{"application/x-ndjson", FormNDJSON},
	{"application/json", FormJSON},
}

// negotiate returns the form that a request accepts: that of the highest quality, then the one that Accept names
// more exactly, then the first of mediaTypes. No Accept accepts everything.
func negotiate(header http.Header) (Form, error) {
	values := header["Accept"]
	if len(values) == 0 || len(values) == 1 && (values[0] == "text/event-stream" || values[0] == "*/*" || values[0] == "") {
		return FormSSE, nil
	}
	var found [len(mediaTypes)]acceptance
	for _, value := range values {
		for text := range strings.SplitSeq(value, ",") {
			if r, ok := parseMediaRange(text); ok {
				for i := range found {
					found[i].add(r, mediaTypes[i].name)
				}
			}
		}
	}
	best := 0
	for i := range found {
		if found[i].better(found[best]) {
			best = i
		}
	}
	if found[best].quality == 0 {
		return FormSSE, &auth.Error{Status: http.StatusNotAcceptable, Err: problem.NotAcceptable, Detail: "Accept allows none of the forms of this path: text/event-stream, application/x-ndjson, application/json"}
	}
	return mediaTypes[best].form, nil
}

// mediaRange is a part of Accept, such as `text/*;q=0.5`.
type mediaRange struct {
	name    string // in lower case
	quality float64
}

// parseMediaRange reads a part of Accept. It ignores all parameters but q.
func parseMediaRange(text string) (r mediaRange, ok bool) {
	name, parameters, _ := strings.Cut(text, ";")
	r = mediaRange{strings.ToLower(strings.TrimSpace(name)), 1}
	if !strings.Contains(r.name, "/") {
		return r, false
	}
	for p := range strings.SplitSeq(parameters, ";") {
		key, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(key), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || !(q >= 0 && q <= 1) { // not for NaN, too
			return r, false
		}
		r.quality = q
	}
	return r, true
}

// acceptance is how Accept accepts a media type.
type acceptance struct {
	quality   float64
	exactness int // of the range that decides: 1 for */*, 2 for type/*, 3 for the type itself; 0 for none
}

// add applies a range, if it is about a media type and more exact than those before.
func (a *acceptance) add(r mediaRange, name string) {
	exactness := 0
	switch {
	case r.name == name:
		exactness = 3
	case r.name == name[:strings.IndexByte(name, '/')]+"/*":
		exactness = 2
	case r.name == "*/*":
		exactness = 1
	}
	if exactness > a.exactness || exactness > 0 && exactness == a.exactness && r.quality > a.quality {
		*a = acceptance{r.quality, exactness}
	}
}

func (a acceptance) better(than acceptance) bool {
	return a.quality > than.quality || a.quality == than.quality && a.exactness > than.exactness
}

// formHeaders are the headers of the responses in a form. Their values are shared: Set and Add do not change
// them.
var formHeaders = func() (all [forms]map[string][]string) {
	for form, contentType := range [forms]string{"text/event-stream; charset=utf-8", "text/event-stream; charset=utf-8", "application/x-ndjson", "application/json"} {
		all[form] = map[string][]string{
			"Content-Type":           {contentType},
			"Cache-Control":          {"no-store, no-transform"},
			"X-Accel-Buffering":      {"no"},
			"X-Content-Type-Options": {"nosniff"},
			// Pages of other sites cannot load it as an image or a script, with cookies. It has no effect on
			// EventSource and fetch, for which CORS holds.
			"Cross-Origin-Resource-Policy": {"same-origin"},
		}
	}
	return all
}()

// vary is the header Vary of all answers: Accept selects the form, and the others the identity and its rights.
var vary = []string{"Accept, Accept-Encoding, Origin, Cookie, Authorization"}

// sourceOf returns the URI reference that names a stream as the source of CloudEvents.
func sourceOf(stream string) string {
	return strings.ReplaceAll(url.PathEscape(stream), ":", "%3A") // else a scheme
}

// event appends an event in the form of the connection.
func (c controlWriter) event(dst []byte, f *feed.Frame) []byte {
	switch c.form {
	case FormSSE:
		return append(dst, f.Wire()...)
	case FormEnvelope:
		return f.AppendEnvelope(dst, *c.source)
	default:
		return f.AppendLine(dst, *c.source)
	}
}

// line appends a control event as a line of NDJSON, CloudEvents JSON as the events have it. Without an id it does
// not move the position of the client.
func (c controlWriter) line(dst []byte, typ, id string, text []byte) []byte {
	dst = append(dst, `{"specversion":"1.0",`...)
	if id != "" {
		dst = append(feed.AppendJSONString(append(dst, `"id":`...), id), ',')
	}
	dst = feed.AppendJSONString(append(dst, `"source":`...), *c.source)
	dst = feed.AppendJSONString(append(dst, `,"type":`...), typ)
	dst = append(append(dst, `,"datacontenttype":"application/json","data":`...), text...)
	return append(dst, "}\n"...)
}
