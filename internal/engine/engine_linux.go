package engine

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Engine writes the frames of many connections without a goroutine for each.
//
// A few loops share the connections. One epoll reports disconnects and sockets that accept bytes again.
type Engine struct {
	epoll          *os.File
	poll           syscall.RawConn
	epollFD        int
	loops          []*loop
	nextGeneration atomic.Uint32 // generation of the next connection
	done           chan struct{} // closed by Close
	headerCache    headerCache
	idleWorkers    chan *pendingConn // to idle worker goroutines
	running        sync.WaitGroup    // the loops, the workers, and acceptors that handle a connection
	polling        sync.WaitGroup    // pollLoop

	mu     sync.RWMutex // held for reading while a connection is added
	closed bool
}

// New starts an engine. The caller must close it. It fails if the process cannot open more files.
func New() (*Engine, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	// The Go runtime's poller waits for this epoll, so that it blocks no thread.
	_ = unix.SetNonblock(fd, true)
	e := &Engine{epoll: os.NewFile(uintptr(fd), "epoll"), epollFD: fd, done: make(chan struct{}), idleWorkers: make(chan *pendingConn)}
	if e.poll, err = e.epoll.SyscallConn(); err != nil {
		_ = e.epoll.Close()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	for range max(1, runtime.GOMAXPROCS(0)/2) { // the other half is for reading, matching, publishing and accepting
		l := newLoop(e)
		e.loops = append(e.loops, l)
		e.running.Go(l.run)
	}
	e.polling.Go(e.pollLoop)
	return e, nil
}

// Close closes all connections. It blocks until Ended of all sources has returned.
func (e *Engine) Close() {
	e.mu.Lock()
	closed := e.closed
	e.closed = true
	e.mu.Unlock()
	if !closed {
		close(e.done)
	}
	e.running.Wait()
	if !closed {
		_ = e.epoll.Close() // after the end of the loops, which use it
	}
	e.polling.Wait()
}

// hijack takes a connection from net/http. It returns false if net/http keeps the connection.
func (e *Engine) hijack(w http.ResponseWriter, r *http.Request, src Source, opts Options) bool {
	taken, added := e.add(w, src, opts)
	if taken != nil && !added {
		serveHijacked(taken, w.Header(), r, src, opts)
	}
	return taken != nil
}

// add hijacks a connection if possible, and adds it to a loop if possible.
func (e *Engine) add(w http.ResponseWriter, src Source, opts Options) (taken net.Conn, added bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return nil, false
	}
	taken, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, false
	}
	own, err := descriptor(taken)
	if err != nil {
		return taken, false
	}
	c := &conn{
		loop: e.loops[int(own.fd)%len(e.loops)], src: src, fd: own.fd, owner: own.owner, generation: e.nextGeneration.Add(1),
		registered: own.watched, timeout: int64(opts.timeout()), head: e.headerCache.get(w.Header()),
	}
	c.queueState.Store(openingWritten) // no other goroutine queues it before it is added
	src.Start(c)
	c.writeOpening()
	c.loop.add(c)
	return taken, true
}

// hijackedSocket is a socket owned by the engine.
type hijackedSocket struct {
	fd      int32
	owner   *socketOwner // counts it
	watched bool         // registered with epoll
}

// descriptor returns the socket of a connection. For a connection hijacked from net/http it closes all
// other descriptors.
func descriptor(taken net.Conn) (hijackedSocket, error) {
	if own, ok := taken.(socket); ok {
		own.w.hijacked = true
		return hijackedSocket{fd: own.w.pending.fd, owner: own.w.pending.owner, watched: own.w.pending.watched}, nil
	}
	fd, err := duplicate(taken)
	if err != nil {
		return hijackedSocket{}, err
	}
	own := hijackedSocket{fd: int32(fd)}
	if c, ok := taken.(*httpConn); ok {
		own.owner = c.detach()
	}
	_ = taken.Close()
	return own, nil
}

// duplicate returns a second descriptor of the socket, without the bookkeeping of package net, which
// costs more than the engine's.
func duplicate(c net.Conn) (fd int, err error) {
	if own, ok := c.(*httpConn); ok {
		c = own.Conn
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return 0, fmt.Errorf("a connection of type %T cannot be hijacked", c)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	if err := raw.Control(func(socket uintptr) {
		fd, failed = unix.FcntlInt(socket, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return 0, err
	}
	return fd, failed
}

// pollLoop passes epoll events to the loops until the epoll is closed.
func (e *Engine) pollLoop() {
	events := make([]unix.EpollEvent, 512)
	for {
		var n int
		err := e.poll.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events, 0)
			return n > 0
		})
		if err != nil {
			return
		}
		for _, ev := range events[:n] {
			e.loops[int(ev.Fd)%len(e.loops)].addReadiness(readiness{ev.Fd, uint32(ev.Pad), ev.Events})
		}
	}
}

// watch registers a socket with epoll for disconnects and the events want.
func (e *Engine) watch(op int, fd int32, generation uint32, want uint32) error {
	ev := unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET | want, Fd: fd, Pad: int32(generation)}
	return epollCtl(e.epollFD, op, fd, &ev)
}
