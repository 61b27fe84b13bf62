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
	// partBytes is about how much JSON goes into one value.
	partBytes = 256 << 10
	// plainBytes is up to where JSON is left as it is, for `nats kv get` to show. A page of
	// a disk or a packet holds it anyway.
	plainBytes = 1 << 10
	// maxJSON bounds what a value may unpack to.
	maxJSON = 4 * partBytes
)

// encoder makes values. It belongs to one goroutine.
type encoder struct {
	limit  int      // bytes of JSON in a part
	list   []Source // of one shard
	json   bytes.Buffer
	packed bytes.Buffer
	gzip   *gzip.Writer
}

// parts calls put with each value of a list of connections, in turn; the value is valid
// during the call. It returns how many there were.
func (e *encoder) parts(list []Source, put func(part int, value []byte) error) (n int, err error) {
	e.json.Reset()
	for _, c := range list {
		entry, err := json.Marshal(stored(c))
		if err != nil {
			return n, err // of our own types, which have no way to fail
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
	w := c.Who()
	return Connection{
		ID: number(w.ID), User: w.User, Feed: w.Feed, Remote: w.Remote,
		Since: w.Since.UTC().Truncate(time.Millisecond), Position: c.Position(),
	}
}

// finish ends the list, and packs it if it is large. Most of it repeats: gzip makes a
// seventh of it.
func (e *encoder) finish() []byte {
	e.json.WriteByte(']')
	if e.json.Len() <= plainBytes {
		return e.json.Bytes()
	}
	e.packed.Reset()
	if e.gzip == nil {
		e.gzip, _ = gzip.NewWriterLevel(&e.packed, gzip.BestSpeed) // fails for levels that there are not
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

// decode reads a value that encoder made on a node.
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
		err = fmt.Errorf("it unpacks to more than %d bytes", maxJSON)
	}
	return text, err
}

// inOrder sorts as a reader's pages need it.
func inOrder(list []Connection) {
	slices.SortFunc(list, func(a, b Connection) int { return strings.Compare(a.ID, b.ID) })
}
