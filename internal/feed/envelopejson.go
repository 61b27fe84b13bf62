package feed

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// DefaultType is the type of an event without one, in the envelope. It is also that of EventSource.
const DefaultType = "message"

// timeLayout is RFC 3339 with milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z"

// appendJSON appends the event as CloudEvents 1.0 JSON, in one line.
func (f *Frame) appendJSON(dst []byte, source string, typ, data []byte) []byte {
	dst = append(dst, `{"specversion":"1.0","id":"`...)
	dst = f.position().Append(dst)
	dst = AppendJSONString(append(dst, `","source":`...), source)
	dst = append(dst, `,"type":`...)
	if len(typ) == 0 {
		dst = append(dst, `"`+DefaultType+`"`...)
	} else {
		dst = AppendJSONString(dst, typ)
	}
	dst = AppendJSONString(append(dst, `,"subject":`...), f.Subject)
	if f.stored != 0 {
		dst = append(dst, `,"time":"`...)
		dst = time.Unix(0, f.stored).UTC().AppendFormat(dst, timeLayout)
		dst = append(dst, '"')
	}
	dst = f.cloudEvent.append(dst)
	return append(appendJSONData(dst, data), '}')
}

// append appends the attributes that the publisher gave, with the names that they have in an envelope.
func (c *CloudEvent) append(dst []byte) []byte {
	if c == nil {
		return dst
	}
	for _, a := range [...]Attribute{{"originid", c.ID}, {"originsource", c.Source}, {"origintime", c.Time}, {"originsubject", c.Subject}} {
		dst = a.append(dst)
	}
	if schema, err := url.Parse(c.Schema); err == nil && schema.IsAbs() { // consumers reject an event with any other
		dst = Attribute{"dataschema", c.Schema}.append(dst)
	}
	for _, a := range c.Extensions {
		dst = a.append(dst)
	}
	return dst
}

func (a Attribute) append(dst []byte) []byte {
	if a.Value == "" {
		return dst
	}
	dst = append(append(append(dst, `,"`...), a.Name...), `":`...)
	return AppendJSONString(dst, a.Value)
}

// appendJSONData appends the data with its content type: JSON as such, other UTF-8 as a string, anything else as
// base64.
func appendJSONData(dst, data []byte) []byte {
	switch {
	case !utf8.Valid(data):
		dst = append(dst, `,"datacontenttype":"application/octet-stream","data_base64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, data)
		return append(dst, '"')
	case beginsLikeJSON(data) && json.Valid(data) && isPortableJSON(data):
		return appendOneLine(append(dst, `,"datacontenttype":"application/json","data":`...), data)
	}
	return AppendJSONString(append(dst, `,"datacontenttype":"text/plain","data":`...), data)
}

// beginsLikeJSON spares most texts the error of a parser.
func beginsLikeJSON(data []byte) bool {
	return len(data) > 0 && strings.IndexByte("{[\"-0123456789tfn \t\r\n", data[0]) >= 0
}

// appendOneLine appends valid JSON without line ends. JSON may have LF and CR only between its tokens. The line
// ends of Unicode stand within strings, where an escape means the same: some programs split lines at them.
func appendOneLine(dst, data []byte) []byte {
	if bytes.IndexByte(data, '\n') < 0 && bytes.IndexByte(data, '\r') < 0 && !hasUnicodeLineEnd(data) {
		return append(dst, data...)
	}
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '\n' || c == '\r':
			dst = append(dst, ' ')
		case c == 0xc2 && data[i+1] == 0x85:
			dst = append(dst, `\u0085`...)
			i++
		case c == 0xe2 && data[i+1] == 0x80 && data[i+2]&^1 == 0xa8:
			dst = append(dst, `\u202`...)
			dst = append(dst, hexDigits[data[i+2]&0xf])
			i += 2
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

func hasUnicodeLineEnd(text []byte) bool {
	return bytes.Contains(text, []byte("\u2028")) || bytes.Contains(text, []byte("\u2029")) || bytes.Contains(text, []byte("\u0085"))
}

const hexDigits = "0123456789abcdef"

// AppendJSONString appends a JSON string. It escapes what JSON requires, and the line ends of Unicode, so that the
// string has no line end for any reader. Bytes that are not UTF-8 become U+FFFD.
func AppendJSONString[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' && c != 0x7f {
			i++
			continue
		}
		r, n := rune(c), 1
		if c >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			if r != '\u0085' && r != '\u2028' && r != '\u2029' && (r != utf8.RuneError || n > 1) {
				i += n
				continue
			}
		}
		dst = append(append(dst, s[done:i]...), '\\')
		i += n
		done = i
		switch r {
		case '"', '\\':
			dst = append(dst, c)
		case '\n':
			dst = append(dst, 'n')
		case '\r':
			dst = append(dst, 'r')
		case '\t':
			dst = append(dst, 't')
		default:
			dst = append(dst, 'u', hexDigits[r>>12&0xf], hexDigits[r>>8&0xf], hexDigits[r>>4&0xf], hexDigits[r&0xf])
		}
	}
	return append(append(dst, s[done:]...), '"')
}
