package natsd

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
)

// inProcessConn is the client's end of a pipe. Until the server has answered the login, writes do not
// block. A server that rejects a login stops reading, and its answer waits until the client reads. With
// blocking writes the client would wait for 10 s and then report a closed pipe.
type inProcessConn struct {
	net.Conn
	answered  atomic.Bool // a read has followed the first write
	loginSent atomic.Bool

	login      chan []byte   // the data written before the answer
	loginEnded chan struct{} // closed when login is complete
	endOnce    sync.Once     // closes ended
	written    chan struct{} // closed when login is written, or writing failed
}

// maxLogin is the maximum number of writes before the answer; nats.go makes two.
const maxLogin = 16

func newInProcessConn(pipe net.Conn) *inProcessConn {
	c := &inProcessConn{Conn: pipe, login: make(chan []byte, maxLogin), loginEnded: make(chan struct{}), written: make(chan struct{})}
	go c.writeLogin() // ends with the answer or the connection
	return c
}

func (c *inProcessConn) writeLogin() {
	defer close(c.written)
	for {
		select {
		case b := <-c.login:
			if _, err := c.Conn.Write(b); err != nil {
				return // the pipe is closed; later writes report it
			}
		case <-c.loginEnded:
			if len(c.login) == 0 {
				return
			}
		}
	}
}

// Write must be called by one goroutine at a time, as nats.go does.
func (c *inProcessConn) Write(b []byte) (int, error) {
	if !c.answered.Load() {
		c.loginSent.Store(true)
		select {
		case c.login <- bytes.Clone(b):
			return len(b), nil
		case <-c.written:
		}
	}
	c.endLogin()
	<-c.written
	return c.Conn.Write(b)
}

func (c *inProcessConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.loginSent.Load() {
		c.answered.Store(true)
	}
	return n, err
}

func (c *inProcessConn) Close() error {
	err := c.Conn.Close()
	c.endLogin()
	return err
}

func (c *inProcessConn) endLogin() { c.endOnce.Do(func() { close(c.loginEnded) }) }
