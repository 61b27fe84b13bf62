package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// job is work for a worker goroutine.
type job interface{ run() }

// idleWorkerTimeout is the time after which a worker goroutine without a job ends.
const idleWorkerTimeout = time.Second

// startWorker passes a job to a worker goroutine, because a handler may block. It prefers an idle worker: its
// stack has already grown, and growing it takes a tenth of the time of a connect.
func (e *Engine) startWorker(j job) {
	select {
	case e.idleWorkers <- j:
	default:
		e.running.Go(func() { e.workerLoop(j) })
	}
}

// workerLoop does a job, then those that startWorker passes to an idle worker.
func (e *Engine) workerLoop(j job) {
	idle := time.NewTimer(idleWorkerTimeout)
	defer idle.Stop()
	for {
		j.run()
		idle.Reset(idleWorkerTimeout)
		select {
		case j = <-e.idleWorkers:
		case <-idle.C:
			return
		case <-e.done:
			return
		}
	}
}

// run implements job, for a connection with a request.
func (c *conn) run() {
	if c.state == statePassed {
		c.passToServer()
		return
	}
	from, err := peerAddress(c.fd)
	if err != nil {
		c.close(ErrGone)
		return
	}
	c.serve(from)
}

// serve answers the request at the beginning of the input, in stateHandler. The handler calls Engine.Serve, or
// its response is buffered.
func (c *conn) serve(from netip.AddrPort) {
	end := headEnd(c.input)
	r := c.request(c.input[:end], from)
	if r == nil {
		c.move(statePassed)
		c.passToServer()
		return
	}
	c.input = bytes.Clone(c.input[end:]) // a copy, because the head may be in an acceptor's buffer
	w := &response{conn: c, header: http.Header{}}
	defer w.finish(r)
	c.listener.opts.Handler.ServeHTTP(w, r)
}

// request parses a head; nil if the http.Server must answer it.
func (c *conn) request(head []byte, from netip.AddrPort) *http.Request {
	r := parseRequest(head)
	if r == nil {
		return nil
	}
	r.RemoteAddr = from.String()
	r.TLS = c.transport.tlsState()
	if c.listener.local != nil {
		return r.WithContext(c.listener.local)
	}
	local, err := localAddress(c.fd)
	if err != nil {
		return nil
	}
	return r.WithContext(localContext(net.TCPAddrFromAddrPort(local)))
}

func localContext(addr net.Addr) context.Context {
	return context.WithValue(context.Background(), http.LocalAddrContextKey, addr)
}

// response is the ResponseWriter of a request read by the engine. The handler calls Engine.Serve, which takes
// the connection. Any other response is buffered, and written at the end of the handler.
type response struct {
	conn   *conn
	header http.Header
	status int
	body   bytes.Buffer
	taken  bool
}

// Header implements http.ResponseWriter.
func (w *response) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. It ignores informational responses.
func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
}

// Write implements http.ResponseWriter.
func (w *response) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// takeConn implements connOwner.
func (w *response) takeConn() (*conn, error) {
	if w.taken || w.status != 0 {
		return nil, errors.New("the response has begun")
	}
	w.taken = true
	return w.conn, nil
}

// responseTimeout is the longest time in which a client accepts no bytes of a buffered response.
const responseTimeout = 10 * time.Second

// finish writes the buffered response, unless the connection was taken. After a panic it closes the
// connection, as net/http does. The handler has to log the panic.
func (w *response) finish(r *http.Request) {
	broken := recover()
	if w.taken {
		return
	}
	if broken != nil {
		w.conn.close(ErrGone)
		return
	}
	w.WriteHeader(http.StatusOK)
	w.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	w.conn.mayKeep = mayKeep(r, w.header)
	resp := http.Response{
		StatusCode: w.status, ProtoMajor: 1, ProtoMinor: 1, Header: w.header, Request: r,
		Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Close: !w.conn.keeps(),
	}
	var out bytes.Buffer
	_ = resp.Write(&out) // cannot fail
	w.conn.respond(out.Bytes())
}

// peerAddress returns the remote address of a socket.
func peerAddress(fd int32) (netip.AddrPort, error) { return socketName(unix.SYS_GETPEERNAME, fd) }

// localAddress returns the local address of a socket.
func localAddress(fd int32) (netip.AddrPort, error) { return socketName(unix.SYS_GETSOCKNAME, fd) }
