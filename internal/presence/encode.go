package presence

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

const (
	// partBytes is the approximate size of the JSON in one value.
	partBytes = 256 << 10
	// plainBytes is the size up to which JSON is not compressed, so that `nats kv get` can show it.
	// Compression would save nothing, as such a value fits into a disk page and a packet.
	plainBytes = 1 << 10
	// maxJSON limits the decompressed size of a value.
	maxJSON = 4 * partBytes
)

// encoder encodes values. It is used by one goroutine.
type encoder struct {
	limit  int      // bytes of JSON in a part
	list   []Source // of one shard
	json   bytes.Buffer
	packed bytes.Buffer
	gzip   *gzip.Writer
}

// parts encodes a list of connections as one or several values, and calls put with each. A value is valid
// during the call. parts returns the number of values.
func (e *encoder) parts(list []Source, put func(part int, value []byte) error) (n int, err error) {
	e.json.Reset()
	for _, c := range list {
		entry, err := json.Marshal(stored(c))
		if err != nil {
			return n, err // cannot happen: the type contains strings and times only
		}
		if e.json.Len() > 0 && e.json.Len()+len(entry)+2 > e.limit {
			if err := put(n, e.finish()); err != nil {
				return n, err
			}
			n++
			e.json.Reset()
		}
		if e.json.Len() == 0 {
			e.json.WriteByte('[')
		} else {
			e.json.WriteByte(',')
		}
		e.json.Write(entry)
	}
	if e.json.Len() == 0 {
		return n, nil
	}
	if err := put(n, e.finish()); err != nil {
		return n, err
	}
	return n + 1, nil
}

func stored(c Source) Connection {
	w := c.Info()
	return Connection{
		ID: number(w.ID), User: w.User, Feed: w.Feed, Remote: w.Remote,
		Since: w.Since.UTC().Truncate(time.Millisecond), Position: c.Position(),
	}
}

// finish ends the list and compresses it if it is large. The text is repetitive: gzip reduces it to a
// seventh.
func (e *encoder) finish() []byte {
	e.json.WriteByte(']')
	if e.json.Len() <= plainBytes {
		return e.json.Bytes()
	}
	e.packed.Reset()
	if e.gzip == nil {
		e.gzip, _ = gzip.NewWriterLevel(&e.packed, gzip.BestSpeed) // fails for invalid levels only
	} else {
		e.gzip.Reset(&e.packed)
	}
	_, _ = e.gzip.Write(e.json.Bytes()) // to memory
	_ = e.gzip.Close()
	if e.packed.Len() >= e.json.Len() {
		return e.json.Bytes()
	}
	return e.packed.Bytes()
}

// decode decodes a value of a node.
func decode(node string, value []byte) ([]Connection, error) {
	if bytes.HasPrefix(value, []byte{0x1f, 0x8b}) {
		var err error
		if value, err = unpack(value); err != nil {
			return nil, err
		}
	}
	var list []Connection
	if err := json.Unmarshal(value, &list); err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Node, list[i].ID = node, node+"-"+list[i].ID
	}
	return list, nil
}

func unpack(value []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(value))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(r, maxJSON+1))
	if err == nil && len(text) > maxJSON {
		err = fmt.Errorf("decompressed value larger than %d bytes", maxJSON)
	}
	return text, err
}

// inOrder sorts connections in the order of pages.
func inOrder(list []Connection) {
	slices.SortFunc(list, func(a, b Connection) int { return strings.Compare(a.ID, b.ID) })
}
