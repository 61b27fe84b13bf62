package loadtest

import (
	"bytes"
	"fmt"
	"strconv"
)

// responseParser parses an HTTP/1.1 response incrementally and passes on the body without chunk
// framing. It buffers only an incomplete line.
type responseParser struct {
	state   responseState
	left    int    // bytes of the chunk that are to come
	partial []byte // of a header or a chunk's size
	chunked bool
	status  int
}

type responseState uint8

const (
	stateHead     responseState = iota
	stateSize                   // a chunk's size
	stateChunk                  // its data
	stateChunkEnd               // the line end after a chunk
	stateBody                   // without chunks, to the end of the connection
)

// maxHeadLine bounds a line of a response's header.
const maxHeadLine = 64 << 10

// parse consumes b. It calls body with parts of b.
func (p *responseParser) parse(b []byte, body func([]byte)) error {
	for len(b) > 0 {
		switch p.state {
		case stateBody:
			body(b)
			return nil
		case stateChunk:
			n := min(p.left, len(b))
			body(b[:n])
			if p.left -= n; p.left == 0 {
				p.state = stateChunkEnd
			}
			b = b[n:]
		default:
			end := bytes.IndexByte(b, '\n')
			if end < 0 {
				if p.partial = append(p.partial, b...); len(p.partial) > maxHeadLine {
					return fmt.Errorf("a header line of more than %d bytes", maxHeadLine)
				}
				return nil
			}
			line := b[:end]
			if len(p.partial) > 0 {
				line = append(p.partial, line...)
				p.partial = nil
			}
			b = b[end+1:]
			if err := p.parseLine(bytes.TrimSuffix(line, []byte{'\r'})); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *responseParser) parseLine(line []byte) error {
	switch {
	case p.state == stateChunkEnd:
		p.state = stateSize
	case p.state == stateSize:
		number, _, _ := bytes.Cut(line, []byte{';'})
		size, err := strconv.ParseUint(string(number), 16, 31)
		if err != nil {
			return fmt.Errorf("chunk size %q", line)
		}
		p.left, p.state = int(size), stateChunk
		if size == 0 {
			return errResponseEnded
		}
	case p.status == 0:
		_, code, _ := bytes.Cut(line, []byte{' '})
		p.status, _ = strconv.Atoi(string(code[:min(3, len(code))]))
		if p.status != 200 {
			return fmt.Errorf("the server answered %q", line)
		}
	case len(line) == 0:
		p.state = stateBody
		if p.chunked {
			p.state = stateSize
		}
	default:
		if name, value, _ := bytes.Cut(line, []byte{':'}); bytes.EqualFold(name, []byte("transfer-encoding")) {
			p.chunked = bytes.Contains(bytes.ToLower(value), []byte("chunked"))
		}
	}
	return nil
}
