package loadtest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// http2StreamWindow is how many bytes of a response the server may send in advance.
	http2StreamWindow = 256 << 10
	// http2ConnWindow is the same for all responses of a connection.
	http2ConnWindow = 1 << 30
	// http2MaxFrame is the largest frame that a server may send, the default of the protocol.
	http2MaxFrame = 16 << 10

	http2FrameHeader = 9 // bytes
)

// http2Conn is the client's side of an HTTP/2 connection without its transport: [http2Conn.receive] parses the bytes of the
// server, and [http2Conn.takeOutput] returns the bytes for it. Its methods do not block. The lock of the
// clients' shard guards it.
type http2Conn struct {
	codec   *headerCodec
	started bool      // the preface was sent
	waiting []*client // have no HTTP/2 stream yet
	streams []http2Stream
	nextID  uint32
	share   int  // how many clients the connection is for
	ending  bool // the server accepts no more requests here

	out     []byte
	partial []byte // an incomplete frame
	// header is an incomplete header block, of the HTTP/2 stream headerID.
	header      []byte
	headerID    uint32
	headerFlags http2.Flags
	unacked     int // bytes that were received, for which the server's window was not updated
}

// http2Stream is an HTTP/2 stream with the response for a client.
type http2Stream struct {
	id      uint32
	client  *client
	unacked int
	paused  bool // its window is not updated
}

func newHTTP2Conn(codec *headerCodec, share int) *http2Conn {
	return &http2Conn{codec: codec, nextID: 1, share: share}
}

// headerCodec encodes and decodes headers for all connections of a loop. It uses no dynamic table, which would be a state
// of one connection, and sets its size to zero for servers.
type headerCodec struct {
	block   bytes.Buffer
	encoder *hpack.Encoder
	decoder *hpack.Decoder
}

func newHeaderCodec() *headerCodec {
	c := &headerCodec{}
	c.encoder = hpack.NewEncoder(&c.block)
	c.encoder.SetMaxDynamicTableSize(0)
	c.decoder = hpack.NewDecoder(0, nil)
	return c
}

func (c *headerCodec) encode(fields []hpack.HeaderField) []byte {
	c.block.Reset()
	for _, f := range fields {
		_ = c.encoder.WriteField(f) // to a buffer
	}
	return c.block.Bytes()
}

// status returns the status of a response's header block; empty for trailers.
func (c *headerCodec) status(block []byte) (status string, err error) {
	fields, err := c.decoder.DecodeFull(block)
	if err != nil {
		c.decoder = hpack.NewDecoder(0, nil)
		return "", fmt.Errorf("HTTP/2 headers: %w", err)
	}
	for _, f := range fields {
		if f.Name == ":status" {
			return f.Value, nil
		}
	}
	return "", nil
}

func (h *http2Conn) clients() []*client {
	all := slices.Clone(h.waiting)
	for _, s := range h.streams {
		all = append(all, s.client)
	}
	return all
}

// request sends the request of a client with the next output.
func (h *http2Conn) request(c *client) { h.waiting = append(h.waiting, c) }

// takeOutput returns the bytes to send.
func (h *http2Conn) takeOutput() []byte {
	if !h.started {
		h.started = true
		h.out = append(h.out, http2.ClientPreface...)
		h.writeFrame(http2.FrameSettings, 0, 0, settings(
			http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0},
			http2.Setting{ID: http2.SettingEnablePush, Val: 0},
			http2.Setting{ID: http2.SettingInitialWindowSize, Val: http2StreamWindow}))
		h.updateWindow(0, http2ConnWindow-65535)
	}
	for _, c := range h.waiting {
		id := h.nextID
		h.nextID += 2
		h.streams = append(h.streams, http2Stream{id: id, client: c})
		h.writeFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, id, h.codec.encode(c.requestFields()))
	}
	h.waiting = nil
	out := h.out
	h.out = nil
	return out
}

func settings(all ...http2.Setting) (payload []byte) {
	for _, s := range all {
		payload = binary.BigEndian.AppendUint16(payload, uint16(s.ID))
		payload = binary.BigEndian.AppendUint32(payload, s.Val)
	}
	return payload
}

func (h *http2Conn) writeFrame(kind http2.FrameType, flags http2.Flags, id uint32, payload []byte) {
	size := binary.BigEndian.AppendUint32(nil, uint32(len(payload))) //nolint:gosec // our frames are small
	h.out = append(append(h.out, size[1:]...), byte(kind), byte(flags))
	h.out = binary.BigEndian.AppendUint32(h.out, id)
	h.out = append(h.out, payload...)
}

func (h *http2Conn) updateWindow(id uint32, n int) {
	h.writeFrame(http2.FrameWindowUpdate, 0, id, binary.BigEndian.AppendUint32(nil, uint32(n))) //nolint:gosec // at most the window
}

// find returns the index of an HTTP/2 stream, or -1 if it has ended.
func (h *http2Conn) find(id uint32) int {
	return slices.IndexFunc(h.streams, func(s http2Stream) bool { return s.id == id })
}

func (h *http2Conn) findClient(c *client) int {
	return slices.IndexFunc(h.streams, func(s http2Stream) bool { return s.client == c })
}

// cancel ends the request of a client.
func (h *http2Conn) cancel(c *client) {
	if i := h.findClient(c); i >= 0 {
		h.resetStream(h.streams[i].id, http2.ErrCodeCancel)
		h.streams = slices.Delete(h.streams, i, i+1)
	}
	h.waiting = slices.DeleteFunc(h.waiting, func(w *client) bool { return w == c })
}

func (h *http2Conn) resetStream(id uint32, code http2.ErrCode) {
	h.writeFrame(http2.FrameRSTStream, 0, id, binary.BigEndian.AppendUint32(nil, uint32(code)))
}

// pause stops the updates of a client's window, so that the server may not send more than the window.
func (h *http2Conn) pause(c *client, paused bool) {
	if i := h.findClient(c); i >= 0 {
		h.streams[i].paused = paused
		h.acknowledge(&h.streams[i], 0)
	}
}

// receive parses the bytes of a server. An error ends the connection.
func (h *http2Conn) receive(b []byte) error {
	if len(h.partial) > 0 {
		h.partial = append(h.partial, b...)
		b = h.partial
	}
	for len(b) >= http2FrameHeader {
		size := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
		if size > http2MaxFrame {
			return fmt.Errorf("an HTTP/2 frame of %d bytes; at most %d are allowed", size, http2MaxFrame)
		}
		if len(b) < http2FrameHeader+size {
			break
		}
		f := http2Frame{
			kind: http2.FrameType(b[3]), flags: http2.Flags(b[4]), id: binary.BigEndian.Uint32(b[5:]) & (1<<31 - 1),
			payload: b[http2FrameHeader : http2FrameHeader+size],
		}
		if err := h.handleFrame(f); err != nil {
			return err
		}
		b = b[http2FrameHeader+size:]
	}
	h.partial = append([]byte(nil), b...) // nil without bytes
	return nil
}

// http2Frame is a received frame. Its payload is valid until the next one.
type http2Frame struct {
	kind    http2.FrameType
	flags   http2.Flags
	id      uint32
	payload []byte
}

var errHTTP2Frame = errors.New("a malformed HTTP/2 frame")

func (h *http2Conn) handleFrame(f http2Frame) error {
	if h.headerID != 0 && (f.kind != http2.FrameContinuation || f.id != h.headerID) {
		return fmt.Errorf("HTTP/2 headers that are followed by %s", f.kind)
	}
	switch f.kind {
	case http2.FrameData:
		return h.handleData(f)
	case http2.FrameHeaders, http2.FrameContinuation:
		return h.handleHeaders(f)
	case http2.FrameRSTStream:
		if len(f.payload) != 4 {
			return errHTTP2Frame
		}
		h.endStream(h.find(f.id), fmt.Errorf("the server reset the HTTP/2 stream: %s", http2.ErrCode(binary.BigEndian.Uint32(f.payload))))
	case http2.FrameSettings:
		return h.handleSettings(f)
	case http2.FramePing:
		if f.flags&http2.FlagPingAck == 0 {
			h.writeFrame(http2.FramePing, http2.FlagPingAck, 0, f.payload)
		}
	case http2.FrameGoAway:
		return h.handleGoAway(f)
	case http2.FramePushPromise:
		return errors.New("an HTTP/2 push, which was not allowed")
	}
	return nil
}

func (h *http2Conn) handleSettings(f http2Frame) error {
	if f.flags&http2.FlagSettingsAck != 0 {
		return nil
	}
	for p := f.payload; len(p) >= 6; p = p[6:] {
		limit := binary.BigEndian.Uint32(p[2:])
		if http2.SettingID(binary.BigEndian.Uint16(p)) == http2.SettingMaxConcurrentStreams && int64(limit) < int64(h.share) {
			return fmt.Errorf("the server allows %d HTTP/2 streams on a connection: lower --streams-per-connection", limit)
		}
	}
	h.writeFrame(http2.FrameSettings, http2.FlagSettingsAck, 0, nil)
	return nil
}

// handleGoAway ends the HTTP/2 streams that the server has not accepted. The others continue.
func (h *http2Conn) handleGoAway(f http2Frame) error {
	if len(f.payload) < 8 {
		return errHTTP2Frame
	}
	last, code := binary.BigEndian.Uint32(f.payload)&(1<<31-1), http2.ErrCode(binary.BigEndian.Uint32(f.payload[4:]))
	if code != http2.ErrCodeNo {
		return fmt.Errorf("the server ended the HTTP/2 connection: %s: %s", code, excerpt(f.payload[8:]))
	}
	h.ending = true
	for i := len(h.streams) - 1; i >= 0; i-- {
		if h.streams[i].id > last {
			h.endStream(i, errors.New("the server accepts no more requests on the HTTP/2 connection"))
		}
	}
	return nil
}

// endResponse is called at the end of a response. The client may continue with another request.
func (h *http2Conn) endResponse(i int) {
	c := h.streams[i].client
	if err := c.responseEnded(); err != nil {
		h.endStream(i, err)
		return
	}
	h.streams = slices.Delete(h.streams, i, i+1)
	if h.ending {
		c.set.clientClosed(c, errServerClosed)
		return
	}
	h.request(c)
}

// endStream removes the i-th HTTP/2 stream and reports its end. It does nothing if the stream has ended before.
func (h *http2Conn) endStream(i int, err error) {
	if i < 0 {
		return
	}
	c := h.streams[i].client
	h.streams = slices.Delete(h.streams, i, i+1)
	c.set.clientClosed(c, err)
}

func (h *http2Conn) handleHeaders(f http2Frame) error {
	block := f.payload
	if f.kind == http2.FrameHeaders {
		var err error
		if block, err = unpad(f); err != nil {
			return err
		}
		if f.flags&http2.FlagHeadersPriority != 0 {
			if len(block) < 5 {
				return errHTTP2Frame
			}
			block = block[5:]
		}
		h.headerFlags = f.flags
	} else if h.headerID == 0 {
		return errHTTP2Frame
	}
	if f.flags&http2.FlagHeadersEndHeaders == 0 {
		h.headerID = f.id
		if h.header = append(h.header, block...); len(h.header) > maxHeadLine {
			return fmt.Errorf("HTTP/2 headers of more than %d bytes", maxHeadLine)
		}
		return nil
	}
	if h.headerID != 0 {
		block = append(h.header, block...)
	}
	h.header, h.headerID = nil, 0
	status, err := h.codec.status(block)
	if err != nil {
		return err
	}
	i := h.find(f.id)
	if i < 0 {
		return nil // it was canceled
	}
	h.handleResponse(i, status)
	return nil
}

// handleResponse handles the header of a response, or its trailers, which have no status.
func (h *http2Conn) handleResponse(i int, status string) {
	s := &h.streams[i]
	ended := h.headerFlags&http2.FlagHeadersEndStream != 0
	switch {
	case status == "200":
		s.client.responseStarted()
	case status != "" && status[0] != '1': // not informational
		if !ended {
			h.resetStream(s.id, http2.ErrCodeCancel)
		}
		h.endStream(i, fmt.Errorf("the server answered %q", status))
		return
	}
	if ended {
		h.endResponse(i)
	}
}

func (h *http2Conn) handleData(f http2Frame) error {
	data, err := unpad(f)
	if err != nil {
		return err
	}
	if h.unacked += len(f.payload); h.unacked >= http2ConnWindow/2 {
		h.updateWindow(0, h.unacked)
		h.unacked = 0
	}
	i := h.find(f.id)
	if i < 0 {
		return nil // it was canceled
	}
	s := &h.streams[i]
	s.client.readBody(data)
	if f.flags&http2.FlagDataEndStream != 0 {
		h.endResponse(i)
		return nil
	}
	h.acknowledge(s, len(f.payload))
	return nil
}

// acknowledge counts received bytes, and updates the window of an HTTP/2 stream.
func (h *http2Conn) acknowledge(s *http2Stream, n int) {
	if s.unacked += n; s.paused || s.unacked < http2StreamWindow/2 {
		return
	}
	h.updateWindow(s.id, s.unacked)
	s.unacked = 0
}

// unpad returns the payload of a frame without its padding.
func unpad(f http2Frame) ([]byte, error) {
	if f.flags&http2.FlagDataPadded == 0 {
		return f.payload, nil
	}
	if len(f.payload) < 1 || len(f.payload) < 1+int(f.payload[0]) {
		return nil, errHTTP2Frame
	}
	return f.payload[1 : len(f.payload)-int(f.payload[0])], nil
}
