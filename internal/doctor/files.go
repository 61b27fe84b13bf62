package doctor

import (
	"fmt"

	"github.com/tidemark/tidemark/internal/filelimit"
)

// fewConnections is the smallest plausible number of connections. A lower number means that the limit of
// open files is a mistake.
const fewConnections = 1000

const raiseFiles = "raise the limit: LimitNOFILE= of the systemd unit, ulimits.nofile in Compose, ulimit -n of a shell"

// checkOpenFiles compares the limit of open files with the configured sockets and connections. It uses the
// limit of a running node, which may differ from doctor's own.
func (d *doctor) checkOpenFiles() []Finding {
	c := &check{name: "open files"}
	limit, whose := filelimit.Current(), "of this shell"
	if d.node.files > 0 {
		limit, whose = d.node.files, "of the running node"
	}
	sockets, connections := filelimit.Sockets(limit), filelimit.Streams(limit)
	if sockets == 0 {
		c.ok("this system has no limit that doctor can read")
		return c.found
	}
	own := d.Config
	if n := own.Limits.Sockets.All; n > sockets {
		c.problem(fmt.Sprintf("lower limits.sockets to %d, or %s", sockets, raiseFiles), "limits.sockets is %d, and the limit %s, %d, allows %d", n, whose, limit, sockets)
	}
	if n := own.Limits.Connections; n > connections {
		c.problem(fmt.Sprintf("lower limits.connections to %d, or %s", connections, raiseFiles), "limits.connections is %d, and the limit %s, %d, allows %d", n, whose, limit, connections)
	}
	if own.Limits.Connections == 0 && connections < fewConnections {
		c.warn(raiseFiles, "the limit %s, %d, allows %d sockets and %d connections", whose, limit, sockets, connections)
	}
	if c.fine() {
		c.ok("the limit %s, %d, allows %d sockets and %d connections", whose, limit, sockets, connections)
	}
	return c.found
}
