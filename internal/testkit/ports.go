package testkit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

const host = "127.0.0.1"

// claims contains UDP sockets with the numbers of the reserved ports. They exclude the same numbers for
// other tests on this machine while the process lives, even if no server listens on the TCP port. The
// kernel closes them when the process is killed.
var claims struct {
	sync.Mutex
	kept []net.PacketConn
}

// FreePorts returns n different unused TCP ports of 127.0.0.1 and reserves them.
//
// Other calls, also in other processes, do not return these ports until this process ends. A server can
// therefore be restarted on its port. The ports are below the range of the system for outgoing connections
// and for port 0. A port of that range could be taken while its server is down.
func FreePorts(n int) ([]int, error) {
	claims.Lock()
	defer claims.Unlock()
	var ports []int
	for range 100 + 10*n {
		if len(ports) == n {
			return ports, nil
		}
		port := 10_000 + rand.IntN(20_000) //nolint:gosec // G404: no secret
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

// FreeAddr returns an address with a port of FreePorts.
func FreeAddr() (string, error) {
	ports, err := FreePorts(1)
	if err != nil {
		return "", err
	}
	return address(ports[0]), nil
}

// claim reserves a port. It returns nil if the port is reserved by another process.
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
