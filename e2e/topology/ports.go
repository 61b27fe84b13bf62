package topology

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

const host = "127.0.0.1"

func local(port int) string { return fmt.Sprintf("%s:%d", host, port) }

// FreePorts returns n different ports of 127.0.0.1 that nothing listens on. They are below those
// that the system hands to outgoing connections: one of them could take a port while the process
// that it is meant for is down.
func FreePorts(n int) ([]int, error) {
	var ports []int
	for range 100 + 10*n {
		if len(ports) == n {
			break
		}
		l, err := net.Listen("tcp", local(10_000+rand.IntN(20_000)))
		if err != nil {
			continue
		}
		defer l.Close() // all together, so that none comes twice
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	if len(ports) < n {
		return nil, errors.New("no free ports on " + host)
	}
	return ports, nil
}

// series returns count ports from first on, or free ones.
func series(first, count int) ([]int, error) {
	if first == 0 {
		return FreePorts(count)
	}
	ports := make([]int, count)
	for i := range ports {
		ports[i] = first + i
	}
	return ports, nil
}
