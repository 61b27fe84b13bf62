package loadtest

import (
	"bytes"
	"fmt"
	"strconv"
)

// wire reads an HTTP/1.1 response as its bytes come, and hands on the body without the
// chunk framing. It keeps no buffer but for a line that is cut.
type responseParser struct {
	phase   phase
	left    int    // bytes of the chunk that are to come
	partial []byte // of a header or a chunk's size
	chunked bool
	status  int
}

type phase uint8

const (
	phaseHead phase = iota
	phaseSize       // a chunk's size
	phaseData
	phaseEnd  // the line end after a chunk
	phaseBody // without chunks, to the end of the connection
)

// maxHead bounds the header of a response.
const maxHeadLine = 64 << 10

// read consumes b. body is called with pieces of b.
func (w *responseParser) parse(b []byte, body func([]byte)) error {
	for len(b) > 0 {
		switch w.phase {
		case phaseBody:
			body(b)
			return nil
		case phaseData:
			n := min(w.left, len(b))
			body(b[:n])
			if w.left -= n; w.left == 0 {
				w.phase = phaseEnd
			}
			b = b[n:]
		default:
			line, rest, ok := w.nextLine(b)
			if !ok {
				return w.checkLength()
			}
			b = rest
			if err := w.parseLine(line); err != nil {
				return err
			}
		}
	}
	return nil
}

// line returns the next line of b, with what came of it before.
func (w *responseParser) nextLine(b []byte) (line, rest []byte, ok bool) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		w.partial = append(w.partial, b...)
		return nil, nil, false
	}
	line, rest = b[:end], b[end+1:]
	if len(w.partial) > 0 {
		line = append(w.partial, line...)
		w.partial = nil
	}
	return bytes.TrimSuffix(line, []byte{'\r'}), rest, true
}

func (w *responseParser) checkLength() error {
	if len(w.partial) > maxHeadLine {
		return fmt.Errorf("a header line of more than %d bytes", maxHeadLine)
	}
	return nil
}

func (w *responseParser) parseLine(line []byte) (err error) {
	switch w.phase {
	case phaseEnd:
		w.phase = phaseSize
	case phaseSize:
		digits, _, _ := bytes.Cut(line, []byte{';'})
		size, err := strconv.ParseUint(string(digits), 16, 31)
		if err != nil {
			return fmt.Errorf("chunk size %q", line)
		}
		w.left, w.phase = int(size), phaseData
		if size == 0 {
			return errResponseEnded
		}
	case phaseHead:
		return w.parseHeadLine(line)
	}
	return nil
}

func (w *responseParser) parseHeadLine(line []byte) error {
	switch {
	case w.status == 0:
		_, code, _ := bytes.Cut(line, []byte{' '})
		w.status, _ = strconv.Atoi(string(code[:min(3, len(code))]))
		if w.status != 200 {
			return fmt.Errorf("the server answered %q", line)
		}
	case len(line) == 0:
		w.phase = phaseBody
		if w.chunked {
			w.phase = phaseSize
		}
	case len(line) > 17 && bytes.EqualFold(line[:18], []byte("transfer-encoding:")):
		w.chunked = bytes.Contains(bytes.ToLower(line), []byte("chunked"))
	}
	return nil
}
