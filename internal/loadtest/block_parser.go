package loadtest

import "bytes"

// blockParser splits a body into blocks: those of SSE, or lines. Events are small and mostly arrive
// whole, which needs no copy; an incomplete block is buffered. Lines of SSE end with LF or CRLF; no
// known server ends them with CR alone.
type blockParser struct{ partial []byte }

// fields are those of a block. They are parts of the bytes that were read.
type fields struct{ event, id, data []byte }

// parse calls found for each complete block. blockEnd returns the length of the first one and that of
// its separator, or less than 0.
func (s *blockParser) parse(b []byte, blockEnd func([]byte) (end, size int), found func(block []byte)) {
	if len(s.partial) > 0 {
		s.partial = append(s.partial, b...)
		b = s.partial
	}
	for {
		end, size := blockEnd(b)
		if end < 0 {
			break
		}
		found(b[:end])
		b = b[end+size:]
	}
	if len(b) == 0 {
		s.partial = nil
		return
	}
	s.partial = append([]byte(nil), b...)
}

// blockEnd finds the empty line that ends a block.
func blockEnd(b []byte) (end, size int) {
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return -1, 0
		}
		from += i + 1
		switch {
		case from < len(b) && b[from] == '\n':
			return from, 1
		case from+1 < len(b) && b[from] == '\r' && b[from+1] == '\n':
			return from, 2
		}
	}
}

// parseBlock returns the fields of SSE that are counted. It reads only the first data line, which has the marker.
func parseBlock(b []byte) (f fields) {
	for len(b) > 0 {
		line, rest, _ := bytes.Cut(b, []byte{'\n'})
		b = rest
		line = bytes.TrimSuffix(line, []byte{'\r'})
		name, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimPrefix(value, []byte{' '})
		switch string(name) {
		case "event":
			f.event = value
		case "id":
			f.id = value
		case "data":
			if f.data == nil {
				f.data = value
			}
		}
	}
	return f
}
