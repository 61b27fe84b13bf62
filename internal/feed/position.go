package feed

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MaxPositionLen bounds the length of a position, in bytes. Clients may send any
// Last-Event-ID; every measured client keeps 128 bytes intact.
const MaxPositionLen = 128

// maxEpochLen leaves room for an operator's own tidemark.epoch, such as "eu-west-2026".
const maxEpochLen = 32

// ErrPosition reports a malformed position. Errors of ParsePosition wrap it.
var ErrPosition = errors.New("malformed position")

// Position is the progress of a client in a stream. It has the sequence of the last event that the
// client has, and the incarnation of the stream that gave the sequence its meaning.
//
// Its text form, `1042-k7f3q9`, is the id of every event on the wire, and the value of
// Last-Event-ID. Sequence 0 lies before the first event of a stream.
type Position struct {
	Seq uint64
	// Epoch names the incarnation of the stream. Empty means "the present one": a client
	// typed a bare sequence.
	Epoch string
}

// String returns the text form, with characters [0-9a-z-] alone.
func (p Position) String() string {
	return string(p.Append(make([]byte, 0, 20+1+len(p.Epoch))))
}

// Append appends the text form to dst.
func (p Position) Append(dst []byte) []byte {
	dst = strconv.AppendUint(dst, p.Seq, 10)
	if p.Epoch != "" {
		dst = append(dst, '-')
		dst = append(dst, p.Epoch...)
	}
	return dst
}

// ParsePosition reads `SEQ-EPOCH` or a bare `SEQ`. Sequences are decimal without sign,
// space or leading zero, so that a position has one text form only.
func ParsePosition(s string) (Position, error) {
	if len(s) > MaxPositionLen {
		return Position{}, fmt.Errorf("%w: longer than %d bytes", ErrPosition, MaxPositionLen)
	}
	digits, epoch, hasEpoch := strings.Cut(s, "-")
	seq, err := parseSeq(digits)
	if err != nil {
		return Position{}, err
	}
	if hasEpoch && !ValidEpoch(epoch) {
		return Position{}, fmt.Errorf("%w: the part after the first '-' must be 1 to %d of [0-9a-z-]", ErrPosition, maxEpochLen)
	}
	return Position{Seq: seq, Epoch: epoch}, nil
}

func parseSeq(digits string) (uint64, error) {
	if digits == "" || digits[0] == '+' || len(digits) > 1 && digits[0] == '0' {
		return 0, fmt.Errorf("%w: it must begin with a sequence in decimal digits", ErrPosition)
	}
	seq, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: it must begin with a sequence in decimal digits that fits 64 bits", ErrPosition)
	}
	return seq, nil
}

// ValidEpoch reports whether s can be the epoch of a position.
func ValidEpoch(s string) bool {
	if s == "" || len(s) > maxEpochLen {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && c != '-' {
			return false
		}
	}
	return true
}
