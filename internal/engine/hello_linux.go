package engine

import "encoding/binary"

// helloKind classifies the input before a handshake.
type helloKind int

const (
	helloIncomplete helloKind = iota
	helloComplete             // or wrong, so that the handshake will fail
	helloHTTP                 // a request in the clear
)

// Limits of a ClientHello that the loop waits for. Beyond them it is left to crypto/tls, which has limits of its own.
const (
	maxHello        = 16 << 10 // bytes
	maxHelloRecords = 16
)

// helloScanner finds the end of a ClientHello, which may be in several records. It scans each byte once.
type helloScanner struct {
	next    int // the offset of the next record
	records int
	message int     // bytes of the message in the records before next
	head    [4]byte // the first bytes of the message: its type and length
}

// scan classifies the input, which has grown since the last call.
func (s *helloScanner) scan(input []byte) helloKind {
	const recordHead, handshakeRecord, clientHello = 5, 22, 1
	if len(input) == 0 {
		return helloIncomplete
	}
	if input[0] != handshakeRecord {
		return classifyOther(input)
	}
	for len(input)-s.next >= recordHead {
		if len(input) >= maxHello || s.records >= maxHelloRecords {
			return helloComplete
		}
		record := input[s.next:]
		size := int(binary.BigEndian.Uint16(record[3:]))
		if record[0] != handshakeRecord || size == 0 {
			return helloComplete
		}
		body := record[recordHead:min(len(record), recordHead+size)]
		if s.message < len(s.head) {
			copy(s.head[s.message:], body)
		}
		if have := s.message + len(body); have >= len(s.head) {
			want := len(s.head) + int(s.head[1])<<16 + int(s.head[2])<<8 + int(s.head[3])
			if s.head[0] != clientHello || have >= want {
				return helloComplete
			}
		}
		if len(body) < size {
			return helloIncomplete
		}
		s.next, s.records, s.message = s.next+recordHead+size, s.records+1, s.message+size
	}
	return helloIncomplete
}

// classifyOther classifies an input that is not TLS.
func classifyOther(input []byte) helloKind {
	const method = 3 // letters of the shortest method
	for _, c := range input[:min(len(input), method)] {
		if c < 'A' || c > 'Z' {
			return helloComplete
		}
	}
	if len(input) < method {
		return helloIncomplete
	}
	return helloHTTP
}
