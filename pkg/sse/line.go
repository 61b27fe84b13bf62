package sse

import "bytes"

// scanBlock bounds how far one search looks for an LF that a CR precedes. Without it, a
// long run of CR-ended lines would be searched to its end once per line.
const scanBlock = 1024

// indexEOL returns where the first CR or LF is, or -1. Two vectorised searches over short
// blocks beat one loop over the bytes.
func indexEOL(b []byte) int {
	for base := 0; base < len(b); base += scanBlock {
		block := b[base:min(base+scanBlock, len(b))]
		if i := indexEOLBlock(block); i >= 0 {
			return base + i
		}
	}
	return -1
}

func indexEOLBlock(b []byte) int {
	lf := bytes.IndexByte(b, '\n')
	if lf >= 0 {
		b = b[:lf]
	}
	if cr := bytes.IndexByte(b, '\r'); cr >= 0 {
		return cr
	}
	return lf
}

// skipEOL returns what follows the line end that s begins with: CR, LF or CRLF.
func skipEOL[T string | []byte](s T) T {
	if len(s) > 1 && s[0] == '\r' && s[1] == '\n' {
		return s[2:]
	}
	return s[1:]
}
