package sse

import "bytes"

// scanBlock bounds the distance of one search for LF. Without the bound, the search in a long run of
// lines that end in CR would scan to the end of the run once per line.
const scanBlock = 1024

// indexEOL returns the index of the first CR or LF, or -1. Two vectorised searches over short
// blocks are faster than one loop over the bytes.
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

// skipEOL returns s without its leading line end: CR, LF or CRLF.
func skipEOL[T string | []byte](s T) T {
	if len(s) > 1 && s[0] == '\r' && s[1] == '\n' {
		return s[2:]
	}
	return s[1:]
}
