//go:build !unix

package engine_test

import "net"

// smallPeer dials with a small buffer, as far as the system supports it.
func smallPeer() *net.Dialer { return new(net.Dialer) }
