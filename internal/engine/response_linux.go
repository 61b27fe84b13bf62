package engine

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// firstResponse is the ResponseWriter of a first request. The engine hijacks the connection from it. Any
// other response is buffered, written at the end of the handler, and ends the connection.
type firstResponse struct {
	pending  *pendingConn
	header   http.Header
	status   int
	body     bytes.Buffer
	hijacked bool
}

// Header implements http.ResponseWriter.
func (w *firstResponse) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *firstResponse) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// Write implements http.ResponseWriter.
func (w *firstResponse) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// Hijack implements http.Hijacker for the engine only.
func (w *firstResponse) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.hijacked || w.status != 0 {
		return nil, nil, errors.New("the response has begun")
	}
	return socket{w: w}, nil, nil
}

// socket marks a connection that the engine already owns. Its net.Conn is nil.
type socket struct {
	net.Conn
	w *firstResponse
}

// responseTimeout limits the writing of a buffered response.
const responseTimeout = 10 * time.Second

// finish writes the buffered response, unless the connection was hijacked. After a panic it closes the
// connection, as net/http does. The handler has to log the panic.
func (w *firstResponse) finish(r *http.Request) {
	broken := recover()
	if w.hijacked {
		return
	}
	defer w.pending.owner.release() // once it is closed
	file := os.NewFile(uintptr(w.pending.fd), "connection")
	c, err := net.FileConn(file)
	_ = file.Close()
	if err != nil {
		return
	}
	defer c.Close()
	if broken != nil {
		return
	}
	w.WriteHeader(http.StatusOK)
	w.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	resp := http.Response{
		StatusCode: w.status, ProtoMajor: 1, ProtoMinor: 1, Header: w.header, Request: r,
		Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Close: true,
	}
	_ = c.SetDeadline(time.Now().Add(responseTimeout))
	_ = resp.Write(c) // fails if the client has disconnected
}
