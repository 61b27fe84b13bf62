package jetstore

import (
	"strconv"
	"strings"
)

// ackPrefix begins the reply subject of every delivery, and of nothing else.
const ackPrefix = "$JS.ACK."

// metadata is the content of the reply subject of a delivery. Its strings share its memory.
type metadata struct {
	consumer string
	seq      uint64 // in the stream
	delivery uint64 // the consumer's own count, without holes, from 1
	pending  uint64 // matching messages after this one
	nanos    int64  // when it was stored
}

// parseReply reads either form:
//
//	$JS.ACK.stream.consumer.redeliveries.seq.delivery.nanos.pending
//	$JS.ACK.domain.account.stream.consumer.redeliveries.seq.delivery.nanos.pending[.token]
func parseReply(reply string) (m metadata, ok bool) {
	var tokens [9]string // later ones are not used
	n := 0
	for tok := range strings.SplitSeq(reply[len(ackPrefix):], ".") {
		if n == len(tokens) {
			break
		}
		tokens[n] = tok
		n++
	}
	skip := 0
	if n > 7 {
		skip = 2
	}
	if n < 7+skip {
		return m, false
	}
	m.consumer = tokens[skip+1]
	seq, err1 := strconv.ParseUint(tokens[skip+3], 10, 64)
	delivery, err2 := strconv.ParseUint(tokens[skip+4], 10, 64)
	nanos, err3 := strconv.ParseInt(tokens[skip+5], 10, 64)
	pending, err4 := strconv.ParseUint(tokens[skip+6], 10, 64)
	m.seq, m.delivery, m.nanos, m.pending = seq, delivery, nanos, pending
	return m, err1 == nil && err2 == nil && err3 == nil && err4 == nil
}
