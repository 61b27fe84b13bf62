package loadtest

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// responseParser parses an HTTP/1.1 response incrementally and passes on the body without chunk
// framing. It buffers only an incomplete line.
type responseParser struct {
	state   responseState
	left    int    // bytes of the chunk that are to come
	partial []byte // of a header or a chunk's size
	chunked bool
	length  bool // the body has left bytes
	status  int
}

type responseState uint8

const (
	stateHead     responseState = iota
	stateSize                   // a chunk's size
	stateChunk                  // its data
	stateChunkEnd               // the line end after a chunk
	stateTrailer                // after the last chunk
	stateLength                 // a body of a known length
	stateBody                   // without chunks, to the end of the connection
	stateEnd
)

// maxHeadLine bounds a line of a response's header.
const maxHeadLine = 64 << 10

// parse consumes b. It calls body with parts of b, and returns errResponseEnded at the end of the response.
func (p *responseParser) parse(b []byte, body func([]byte)) error {
	for len(b) > 0 {
		switch p.state {
		case stateBody:
			body(b)
			return nil
		case stateChunk, stateLength:
			n := min(p.left, len(b))
			body(b[:n])
			b = b[n:]
			if p.left -= n; p.left > 0 {
				return nil
			}
			if p.state == stateLength {
				return p.end(b)
			}
			p.state = stateChunkEnd
		case stateEnd:
			return p.end(b)
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
			if p.state == stateEnd {
				return p.end(b)
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
			p.state = stateTrailer
		}
	case p.state == stateTrailer:
		if len(line) == 0 {
			p.state = stateEnd
		}
	case p.status == 0:
		_, code, _ := bytes.Cut(line, []byte{' '})
		p.status, _ = strconv.Atoi(string(code[:min(3, len(code))]))
		if p.status != 200 {
			return fmt.Errorf("the server answered %q", line)
		}
	case len(line) == 0:
		p.endHead()
	default:
		return p.parseHeader(line)
	}
	return nil
}

func (p *responseParser) parseHeader(line []byte) (err error) {
	name, value, _ := strings.Cut(string(line), ":")
	switch value = strings.TrimSpace(value); {
	case strings.EqualFold(name, "transfer-encoding"):
		p.chunked = strings.Contains(strings.ToLower(value), "chunked")
	case strings.EqualFold(name, "content-length"):
		p.length = true
		if p.left, err = strconv.Atoi(value); err != nil || p.left < 0 {
			return fmt.Errorf("content-length %q", value)
		}
	}
	return nil
}

// endHead is called at the end of the headers.
func (p *responseParser) endHead() {
	switch {
	case p.chunked:
		p.state = stateSize
	case p.length && p.left == 0:
		p.state = stateEnd
	case p.length:
		p.state = stateLength
	default:
		p.state = stateBody
	}
}

// end ends the response, after which no bytes may follow: the client has sent no other request.
func (p *responseParser) end(rest []byte) error {
	p.state = stateEnd
	if len(rest) > 0 {
		return errAfterResponse
	}
	return errResponseEnded
}
