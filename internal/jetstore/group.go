package jetstore

import "sync"

// group owns goroutines. Unlike a WaitGroup it can be closed while other goroutines call start.
type group struct {
	wg sync.WaitGroup

	mu     sync.Mutex
	closed bool
}

// start runs f in a goroutine, unless the group is closed.
func (g *group) start(f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.wg.Go(f)
	return true
}

// close makes start fail, and waits for the goroutines that run.
func (g *group) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.wg.Wait()
}
