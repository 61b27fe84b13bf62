//go:build !unix

package engine_test

import "net"

// smallPeer is as small as the system has it.
func smallPeer() *net.Dialer { return new(net.Dialer) }
