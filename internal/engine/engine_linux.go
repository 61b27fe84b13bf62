package engine

import (
	"fmt"
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
	handshakes     *handshakes
	idleWorkers    chan job       // to idle worker goroutines
	running        sync.WaitGroup // the loops, the workers, and acceptors that handle a connection
	polling        sync.WaitGroup // pollLoop

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
	e := &Engine{epoll: os.NewFile(uintptr(fd), "epoll"), epollFD: fd, done: make(chan struct{}), idleWorkers: make(chan job), handshakes: newHandshakes()}
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

// watch registers a socket with epoll for disconnects and the events want, or changes its registration.
func (e *Engine) watch(op int, fd int32, generation uint32, want uint32) error {
	ev := unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET | want, Fd: fd, Pad: int32(generation)}
	return epollCtl(e.epollFD, op, fd, &ev)
}

// trackRunning makes Close wait for a call of running.Done. It returns false after Close.
func (e *Engine) trackRunning() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if !e.closed {
		e.running.Add(1)
	}
	return !e.closed
}
