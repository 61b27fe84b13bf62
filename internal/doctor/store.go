package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/natsd"
)

// checkStore checks the directory of the embedded server: its permissions, its user, and the free space on
// its disk.
func (d *doctor) checkStore(ctx context.Context) []Finding {
	c := &check{name: "store"}
	dir := d.Config.NATS.Embedded.Dir
	if d.NATS.URL != "" {
		c.skip("nats.url names a server, which has its own store")
		return c.found
	}
	if dir == "" {
		return nil // reported by checkConfig
	}
	info, err := os.Stat(dir)
	exists := err == nil
	switch {
	case exists && !info.IsDir():
		c.problem("nats.embedded.dir", "%s is not a directory", dir)
		return c.found
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		c.problem("nats.embedded.dir, or the permissions of its parent directories", "the store cannot be examined: %v", err)
		return c.found
	}
	on := existing(dir)
	if err := writable(on); err != nil {
		c.problem(fmt.Sprintf("nats.embedded.dir, or chown %s to the service's user", on), "this user cannot write %s: %v", on, err)
	}
	if exists {
		d.checkUse(c, dir)
	}
	d.checkRoom(ctx, c, on, exists)
	if c.fine() && len(c.found) == 0 {
		c.ok("%s can be written", dir)
	}
	return c.found
}

// checkUse distinguishes a node of this configuration from another process that uses the directory.
func (d *doctor) checkUse(c *check, dir string) {
	used, err := natsd.InUse(dir)
	switch {
	case err != nil:
		c.problem("nats.embedded.dir, or the permissions of its files", "the store cannot be examined: %v", err)
	case used && !d.node.running:
		c.problem("nats.embedded.dir, or stop the other process", "another process uses %s, but no node responds at http.addr", dir)
	case !used && d.node.running:
		c.warn("run doctor with the configuration of the node", "the node at http.addr does not use %s", dir)
	}
}

// existing returns the directory itself, or its nearest existing parent.
func existing(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "."
	}
	for {
		if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// leastFree is the minimum free space for the embedded server, in bytes.
const leastFree = 64 << 20

const moreRoom = "make room, or set streams.max_bytes to less"

func (d *doctor) checkRoom(ctx context.Context, c *check, on string, exists bool) {
	free, known := freeBytes(on)
	if !known {
		return
	}
	largest := d.reserved()
	if free < leastFree {
		c.problem(moreRoom, "the disk of %s has %s left", on, size(free))
		return
	}
	if !exists {
		if free/4*3 < largest { // JetStream's own limit
			c.problem(moreRoom, "the streams reserve %s, and JetStream uses at most three quarters of the %s that the disk of %s has left", size(largest), size(free), on)
		} else {
			c.ok("%s can be created; its disk has %s left, the streams may take %s", d.Config.NATS.Embedded.Dir, size(free), size(largest))
		}
		return
	}
	used := usedBytes(ctx, on)
	if rest := largest - min(used, largest); free < rest {
		c.warn(moreRoom, "the streams may grow by %s (max_bytes), and the disk of %s has %s left", size(rest), on, size(free))
		return
	}
	c.ok("%s has %s, its disk has %s left, and the streams may take %s", on, size(used), size(free), size(largest))
}

// reserved returns the sum of max_bytes of all streams on disk.
func (d *doctor) reserved() (sum uint64) {
	for _, def := range d.Streams {
		if def.Storage == jetstream.FileStorage && def.MaxBytes > 0 {
			sum += uint64(def.MaxBytes)
		}
	}
	return sum
}

// usedBytes sums up the files below a directory, as far as they can be read before ctx ends.
func usedBytes(ctx context.Context, dir string) (sum uint64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || entry.IsDir() {
			return nil //nolint:nilerr // unreadable files are not counted
		}
		if info, err := entry.Info(); err == nil && info.Size() > 0 {
			sum += uint64(info.Size()) //nolint:gosec // it is above zero
		}
		return nil
	})
	return sum
}

func size(bytes uint64) string {
	switch {
	case bytes >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
	case bytes >= 1<<20:
		return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}
