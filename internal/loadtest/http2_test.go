package loadtest

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// http2Server writes the frames of a server.
type http2Server struct {
	*http2.Framer
	out   bytes.Buffer
	block bytes.Buffer
}

func newHTTP2Server() *http2Server {
	s := &http2Server{}
	s.Framer = http2.NewFramer(&s.out, nil)
	return s
}

// headers writes a header block in pieces of the given size.
func (s *http2Server) headers(t *testing.T, id uint32, end bool, piece int, fields ...string) {
	t.Helper()
	s.block.Reset()
	enc := hpack.NewEncoder(&s.block)
	enc.SetMaxDynamicTableSize(0)
	for i := 0; i < len(fields); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	pieces := slices.Collect(slices.Chunk(s.block.Bytes(), piece))
	for i, p := range pieces {
		last := i == len(pieces)-1
		var err error
		if i == 0 {
			err = s.WriteHeaders(http2.HeadersFrameParam{
				StreamID: id, BlockFragment: p, EndStream: end, EndHeaders: last, PadLength: 3,
				Priority: http2.PriorityParam{StreamDep: 7, Weight: 9},
			})
		} else {
			err = s.WriteContinuation(id, last, p)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// http2Clients returns clients with requests on one HTTP/2 connection.
func http2Clients(t *testing.T, n int) (*http2Conn, []*client) {
	t.Helper()
	s := &localClients{
		opts: Options{Conns: n}, part: Partition{Run: "cafe0123"}, server: &url.URL{Scheme: "https", Host: "h"},
		openSlots: make(chan struct{}, n),
	}
	sh := newShard()
	sh.setNow()
	h := newHTTP2Conn(newHeaderCodec(), n)
	for i := range n {
		c := &client{set: s, shard: sh, index: i, key: "all", tally: tally{next: 1}}
		s.openSlots <- struct{}{}
		s.clients = append(s.clients, c)
		c.setConn(h)
		h.request(c)
	}
	return h, s.clients
}

// sent describes the frames that a connection sends.
func sent(t *testing.T, h *http2Conn) (frames []string) {
	t.Helper()
	out := bytes.TrimPrefix(h.takeOutput(), []byte(http2.ClientPreface))
	framer := http2.NewFramer(nil, bytes.NewReader(out))
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			return frames
		}
		text := fmt.Sprintf("%s %d", f.Header().Type, f.Header().StreamID)
		switch f := f.(type) {
		case *http2.WindowUpdateFrame:
			text += fmt.Sprintf(" +%d", f.Increment)
		case *http2.RSTStreamFrame:
			text += " " + f.ErrCode.String()
		case *http2.PingFrame:
			text += fmt.Sprintf(" %s %v", f.Data[:], f.IsAck())
		case *http2.SettingsFrame:
			text += fmt.Sprintf(" %v", f.IsAck())
		}
		frames = append(frames, text)
	}
}

func TestHTTP2Conn_AnyPieces_SameEvents(t *testing.T) {
	event := func(n int) []byte {
		m := marker{run: "cafe0123", key: "all", n: n}
		return fmt.Appendf(nil, "data: %s\nid: %d\n\n", m.payload(60), n)
	}
	s := newHTTP2Server()
	_ = s.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100})
	s.headers(t, 1, false, 5, ":status", "103", "link", "</x>")
	s.headers(t, 1, false, 7, ":status", "200", "content-type", "text/event-stream")
	s.headers(t, 3, false, 1000, ":status", "200")
	_ = s.WritePing(false, [8]byte{'1', '2', '3', '4', '5', '6', '7', '8'})
	_ = s.WriteDataPadded(1, false, event(1)[:20], []byte{0, 0, 0})
	_ = s.WriteData(3, false, append(event(1), event(2)...))
	_ = s.WriteData(1, false, append(event(1)[20:], event(2)...))
	_ = s.WriteRawFrame(http2.FrameType(0xfa), 0, 1, []byte("an unknown frame"))
	s.headers(t, 5, false, 1000, ":status", "200")
	_ = s.WriteData(5, true, event(1))
	s.headers(t, 7, true, 1000, ":status", "503")
	_ = s.WriteRSTStream(9, http2.ErrCodeInternal)
	_ = s.WriteGoAway(11, http2.ErrCodeNo, nil)
	_ = s.WriteData(3, false, event(3))
	for size := 1; size <= s.out.Len(); size += 1 + size/8 {
		h, clients := http2Clients(t, 7)
		if got := sent(t, h); len(got) != 9 || got[0] != "SETTINGS 0 false" || got[8] != "HEADERS 13" {
			t.Fatalf("sent %q", got)
		}
		for piece := range slices.Chunk(s.out.Bytes(), size) {
			if err := h.receive(piece); err != nil {
				t.Fatalf("in pieces of %d: %v", size, err)
			}
		}
		for i, want := range []int{2, 3, 1, 0, 0, 0, 0} {
			if got := clients[i].tally.got; got != want {
				t.Errorf("in pieces of %d: client %d received %d events, want %d", size, i, got, want)
			}
		}
		for i, open := range []bool{true, true, false, false, false, true, false} {
			if (clients[i].conn != nil) != open {
				t.Errorf("in pieces of %d: client %d has a connection: %v", size, i, !open)
			}
		}
		if got, want := sent(t, h), []string{"SETTINGS 0 true", "PING 0 12345678 true"}; !slices.Equal(got, want) || !h.ending {
			t.Errorf("sent %q, want %q", got, want)
		}
	}
}

func TestHTTP2Conn_ReceivedBytes_UpdateWindows(t *testing.T) {
	h, clients := http2Clients(t, 2)
	sent(t, h)
	s := newHTTP2Server()
	data := func(id uint32, total int) {
		for ; total > 0; total -= 16 << 10 {
			_ = s.WriteData(id, false, bytes.Repeat([]byte{'\n'}, 16<<10))
		}
		if err := h.receive(s.out.Bytes()); err != nil {
			t.Fatal(err)
		}
		s.out.Reset()
	}
	data(1, 112<<10)
	if got := sent(t, h); len(got) > 0 {
		t.Errorf("sent %q", got)
	}
	data(1, 16<<10)
	if got := sent(t, h); !slices.Equal(got, []string{"WINDOW_UPDATE 1 +131072"}) {
		t.Errorf("sent %q", got)
	}
	h.pause(clients[1], true)
	data(3, 256<<10)
	if got := sent(t, h); len(got) > 0 {
		t.Errorf("sent %q for a client that does not read", got)
	}
	h.pause(clients[1], false)
	if got := sent(t, h); !slices.Equal(got, []string{"WINDOW_UPDATE 3 +262144"}) {
		t.Errorf("sent %q", got)
	}
	h.cancel(clients[1])
	data(3, 16<<10) // on its way when the client canceled
	if got := sent(t, h); !slices.Equal(got, []string{"RST_STREAM 3 CANCEL"}) || len(h.clients()) != 1 {
		t.Errorf("sent %q, %d clients", got, len(h.clients()))
	}
}

func TestHTTP2Conn_InvalidFrames_EndIt(t *testing.T) {
	for want, write := range map[string]func(s *http2Server){
		"frame of 16385": func(s *http2Server) { _ = s.WriteData(1, false, make([]byte, 16<<10+1)) },
		"followed by": func(s *http2Server) {
			_ = s.WriteRawFrame(http2.FrameHeaders, 0, 1, []byte{0x88})
			_ = s.WritePing(false, [8]byte{})
		},
		"malformed": func(s *http2Server) { _ = s.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, 1, []byte{5, 1}) },
		"HTTP/2 headers": func(s *http2Server) {
			_ = s.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, []byte{0xff, 0xff, 0xff})
		},
		"push":           func(s *http2Server) { _ = s.WriteRawFrame(http2.FramePushPromise, 0, 1, make([]byte, 10)) },
		"too many pings": func(s *http2Server) { _ = s.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, []byte("too many pings")) },
		"lower --streams-per-connection": func(s *http2Server) {
			_ = s.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
		},
	} {
		h, _ := http2Clients(t, 2)
		sent(t, h)
		s := newHTTP2Server()
		write(s)
		if err := h.receive(s.out.Bytes()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
