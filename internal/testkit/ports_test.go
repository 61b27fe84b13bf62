package testkit_test

import (
	"net"
	"testing"

	"github.com/tidemark/tidemark/internal/testkit"
)

// Ports are not returned twice, although no server listens on them.
func TestFreePorts(t *testing.T) {
	seen := map[int]bool{}
	for range 40 {
		ports, err := testkit.FreePorts(10)
		if err != nil {
			t.Fatal(err)
		}
		for _, port := range ports {
			if seen[port] {
				t.Errorf("%d was given twice", port)
			}
			seen[port] = true
		}
	}
	addr, err := testkit.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
