package engine

import (
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"testing"
)

// The test opens, closes, detaches and idles sockets at random, and compares the counts and the lists with
// a model.
func TestSockets_RandomUse_CountsWhatIsOpen(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	s := NewSockets(SocketOptions{Max: 12, MaxPerAddress: 5})
	open := map[*httpConn]bool{} // the value is true for idle sockets
	for range 20_000 {
		var any *httpConn
		for any = range open {
			break
		}
		switch do := random.IntN(5); {
		case do == 0 || any == nil:
			if owner, ok := s.acquire(netip.AddrFrom4([4]byte{10, 0, 0, byte(random.IntN(4))})); ok {
				inner, peer := net.Pipe()
				_ = peer.Close()
				open[newHTTPConn(inner, owner)] = false
			}
			for c := range open {
				if c.released { // it was idle and has been evicted
					if !open[c] {
						t.Fatalf("seed %d: a socket that was not idle was closed", seed)
					}
					delete(open, c)
				}
			}
		case do == 1:
			_ = any.Close()
			_ = any.Close()
			delete(open, any)
		case do == 2:
			owner := any.detach()
			_ = any.Close()
			owner.release()
			delete(open, any)
		default:
			idle := do == 3
			s.ConnState(any, map[bool]http.ConnState{true: http.StateIdle, false: http.StateActive}[idle])
			open[any] = idle
		}
		check(t, s, open, seed)
	}
}

func check(t *testing.T, s *Sockets, open map[*httpConn]bool, seed uint64) {
	t.Helper()
	idle, owners := 0, map[*socketOwner]int{}
	for c, isIdle := range open {
		owners[c.owner]++
		if isIdle {
			idle++
		}
	}
	if status := s.Status(); status.Open != len(open) || status.Idle != idle || len(s.owners) != len(owners) {
		t.Fatalf("seed %d: %+v and %d addresses, want %d open, %d idle, %d addresses", seed, status, len(s.owners), len(open), idle, len(owners))
	}
	inLists := 0
	for owner, n := range owners {
		if owner.open != n || n > s.opts.MaxPerAddress || s.owners[owner.prefix] != owner {
			t.Fatalf("seed %d: %d sockets of %s, want %d", seed, owner.open, owner.prefix, n)
		}
		for c := owner.idle.first; c != nil; c = c.links[ownerIdle].behind {
			inLists++
		}
	}
	inAll := 0
	for c := s.idle.first; c != nil; c = c.links[allIdle].behind {
		inAll++
	}
	if inLists != idle || inAll != idle {
		t.Fatalf("seed %d: %d and %d in the lists of %d idle ones", seed, inAll, inLists, idle)
	}
}

func BenchmarkSockets(b *testing.B) {
	s := NewSockets(SocketOptions{Max: 1 << 20, MaxPerAddress: 1 << 19})
	addr := netip.MustParseAddr("192.0.2.1")
	b.Run("accept and close", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			owner, _ := s.acquire(addr)
			owner.release()
		}
	})
	b.Run("request on a kept socket", func(b *testing.B) {
		owner, _ := s.acquire(addr)
		c := newHTTPConn(nil, owner)
		b.ReportAllocs()
		for b.Loop() {
			s.ConnState(c, http.StateActive)
			s.ConnState(c, http.StateIdle)
		}
	})
}
