package testkit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

const host = "127.0.0.1"

// claims are UDP sockets on the numbers of the ports that FreePorts gave away. Nobody talks to
// them: they keep other tests, in this process and in those beside it, from the same number for
// as long as this process lives, also while nothing listens there by TCP. The kernel takes them
// back from a process that is killed.
var claims struct {
	sync.Mutex
	kept []net.PacketConn
}

// FreePorts returns n different TCP ports of 127.0.0.1 that nothing listens on, and that nobody
// else is given who asks here, in whatever process, until this one ends. So a server may be
// stopped and started on its port. They are below those that the system hands to outgoing
// connections and to whoever listens on port 0: one of them could take a port while the process
// that it is meant for is down.
func FreePorts(n int) ([]int, error) {
	claims.Lock()
	defer claims.Unlock()
	var ports []int
	for range 100 + 10*n {
		if len(ports) == n {
			return ports, nil
		}
		port := 10_000 + rand.IntN(20_000) //nolint:gosec // a lot, no secret
		if claim := claim(port); claim != nil {
			claims.kept = append(claims.kept, claim)
			ports = append(ports, port)
		}
	}
	if len(ports) == n {
		return ports, nil
	}
	return nil, errors.New("no free ports on " + host)
}

// FreeAddr is the address of one such port.
func FreeAddr() (string, error) {
	ports, err := FreePorts(1)
	if err != nil {
		return "", err
	}
	return address(ports[0]), nil
}

// claim returns nil for a port that somebody has.
func claim(port int) net.PacketConn {
	mine, err := net.ListenPacket("udp", address(port))
	if err != nil {
		return nil
	}
	l, err := net.Listen("tcp", address(port))
	if err != nil {
		_ = mine.Close()
		return nil
	}
	_ = l.Close()
	return mine
}

func address(port int) string { return fmt.Sprintf("%s:%d", host, port) }
