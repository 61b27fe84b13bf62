package testcluster

import (
	"fmt"

	"github.com/tidemark/tidemark/internal/testkit"
)

const host = "127.0.0.1"

func local(port int) string { return fmt.Sprintf("%s:%d", host, port) }

// series returns count ports from first, or free ones.
func series(first, count int) ([]int, error) {
	if first == 0 {
		return testkit.FreePorts(count)
	}
	ports := make([]int, count)
	for i := range ports {
		ports[i] = first + i
	}
	return ports, nil
}
