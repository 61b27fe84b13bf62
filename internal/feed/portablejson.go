package feed

import (
	"math"
	"strconv"
)

// maxJSONDepth is the depth up to which data is embedded in an envelope as JSON. Parsers have limits: 256 in jq 1.5,
// about 1,000 in Python, 10,000 in Go. An event beyond the limit of a client would make a whole page unreadable for it.
const maxJSONDepth = 64

// isPortableJSON reports whether every client can parse data, which is valid JSON: it is not nested deeper than
// maxJSONDepth, its numbers are finite as a float64, and its escapes of UTF-16 surrogates are pairs (RFC 8259, sections 6
// and 8.2, and RFC 7493).
func isPortableJSON(data []byte) bool {
	depth := 0
	for i := 0; i < len(data); {
		switch c := data[i]; {
		case c == '{' || c == '[':
			if depth++; depth > maxJSONDepth {
				return false
			}
		case c == '}' || c == ']':
			depth--
		case c == '"':
			end, ok := portableString(data, i+1)
			if !ok {
				return false
			}
			i = end
			continue
		case c == '-' || c >= '0' && c <= '9':
			end := numberEnd(data, i)
			if !isFinite(data[i:end]) {
				return false
			}
			i = end
			continue
		}
		i++
	}
	return true
}

// portableString returns the end of a string that begins at i, after its quotation mark. It reports whether the
// escapes of surrogates are pairs.
func portableString(data []byte, i int) (end int, ok bool) {
	for data[i] != '"' {
		if data[i] != '\\' {
			i++
			continue
		}
		if data[i+1] != 'u' {
			i += 2
			continue
		}
		switch r := hexRune(data[i+2:]); {
		case r >= 0xdc00 && r < 0xe000:
			return 0, false
		case r >= 0xd800 && r < 0xdc00:
			if next := data[i+6:]; next[0] != '\\' || next[1] != 'u' || hexRune(next[2:])&^0x3ff != 0xdc00 {
				return 0, false
			}
			i += 12
		default:
			i += 6
		}
	}
	return i + 1, true
}

// hexRune decodes the four digits of an escape.
func hexRune(digits []byte) rune {
	r, err := strconv.ParseUint(string(digits[:4]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(r)
}

func numberEnd(data []byte, i int) int {
	for i < len(data) && (data[i] >= '0' && data[i] <= '9' || data[i] == '-' || data[i] == '+' || data[i] == '.' || data[i] == 'e' || data[i] == 'E') {
		i++
	}
	return i
}

// isFinite reports whether a number has a finite value as a float64. Only long numbers and those with an exponent may
// not have one.
func isFinite(number []byte) bool {
	const longestFinite = 300 // digits; the largest finite number has 309
	short := len(number) <= longestFinite
	for _, c := range number {
		short = short && c != 'e' && c != 'E'
	}
	if short {
		return true
	}
	f, err := strconv.ParseFloat(string(number), 64)
	return err == nil && !math.IsInf(f, 0)
}
