package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tidemark/tidemark/internal/health"
	"github.com/tidemark/tidemark/internal/terminal"
)

func newTop() *cobra.Command {
	var n nodes
	var every time.Duration
	var count int
	cmd := &cobra.Command{
		Use:   "top [URL]",
		Short: "Watch a node, or all nodes",
		Long: `Watch a node, or all nodes, until q or Ctrl-C. Rates are differences between two samples. If the output is
not a terminal, one table is printed after the other.

` + whereNodesAre,
		Example: "  tidemark top --all\n  tidemark top http://127.0.0.1:8081 --every 5s",
		Args:    arguments(cobra.MaximumNArgs(1)),
	}
	cmd.Flags().DurationVar(&every, "every", time.Second, "sample once in this `duration`")
	cmd.Flags().IntVarP(&count, "count", "n", 0, "stop after this `number` of samples; 0 is unlimited")
	n.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if every < 100*time.Millisecond {
			return usageError{fmt.Errorf("--every: %s is too short; it must be at least 100ms", every)}
		}
		return n.with(cmd, args, func(nc *nats.Conn) error {
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			show, restore, err := display(cmd.OutOrStdout(), cancel)
			if err != nil {
				return err
			}
			defer restore()
			return n.watch(ctx, nc, every, count, show)
		})
	}
	return cmd
}

// watch blocks until ctx ends or count samples are shown. It shows the error of a node that does not respond,
// and queries it again.
func (n *nodes) watch(ctx context.Context, nc *nats.Conn, every time.Duration, count int, show func(text string) error) error {
	var before sample
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for i := 1; ; i++ {
		found, err := n.query(ctx, nc)
		if ctx.Err() != nil {
			return nil
		}
		now := sample{time.Now(), map[string]health.Report{}}
		for _, h := range found {
			now.nodes[h.Node] = h
		}
		var text strings.Builder
		if err != nil {
			fmt.Fprintln(&text, terminal.Escape(err.Error()))
		} else if err := topTable(&text, found, before, now); err != nil {
			return err
		}
		before = now
		if err := show(text.String()); err != nil || i == count {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// sample has the nodes at a time.
type sample struct {
	at    time.Time
	nodes map[string]health.Report
}

// rates are per second, since the previous sample; "-" without one, or for another process.
func (now sample) rates(before sample, node string) (events, bytes, connects string) {
	a, b := before.nodes[node].Detail, now.nodes[node].Detail
	if a == nil || b == nil || !a.Started.Equal(b.Started) {
		return "-", "-", "-"
	}
	seconds := now.at.Sub(before.at).Seconds()
	rate := func(x, y uint64) float64 { return float64(max(x, y)-x) / seconds }
	return fmt.Sprintf("%.0f", rate(a.Events, b.Events)), fmt.Sprintf("%.1f", rate(a.Bytes, b.Bytes)/1024), fmt.Sprintf("%.0f", rate(a.Connects, b.Connects))
}

func topTable(out io.Writer, found []health.Report, before, now sample) error {
	streams, replays := 0, 0
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tSTATE\tCONNS\tREPLAYS\tEVENTS/S\tKIB/S\tCONNECTS/S")
	for _, h := range found {
		events, bytes, connects := now.rates(before, h.Node)
		state := h.Status
		if h.Checks["node"] == "draining" {
			state = "draining"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\t%s\n", terminal.Escape(h.Node), terminal.Escape(state), h.Streams, h.Replays, events, bytes, connects)
		streams, replays = streams+h.Streams, replays+h.Replays
	}
	fmt.Fprintf(w, "%s\t\t%d\t%d\t\t\t\n", plural(len(found), "node"), streams, replays)
	return w.Flush()
}

// display writes to the alternate screen of a terminal, or to other outputs unchanged. The keys q and Ctrl-C
// call end; restore shows the previous screen again.
func display(out io.Writer, end func()) (show func(string) error, restore func(), err error) {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || !term.IsTerminal(int(os.Stdin.Fd())) {
		plain := func(text string) error { _, err := io.WriteString(out, text+"\n"); return err }
		return plain, func() {}, nil
	}
	before, err := term.MakeRaw(int(os.Stdin.Fd()))
	if err != nil {
		return nil, nil, err
	}
	go keys(end) // it ends with the process: a read of a terminal cannot be canceled
	_, _ = io.WriteString(out, "\x1b[?1049h\x1b[?25l")
	restore = func() {
		_, _ = io.WriteString(out, "\x1b[?25h\x1b[?1049l")
		_ = term.Restore(int(os.Stdin.Fd()), before)
	}
	return func(text string) error { return draw(file, text) }, restore, nil
}

func keys(end func()) {
	one := make([]byte, 1)
	for {
		if n, err := os.Stdin.Read(one); err != nil || n == 1 && (one[0] == 'q' || one[0] == 3) {
			end()
			return
		}
	}
}

// draw reads the size each time, because a terminal may be resized.
func draw(file *os.File, text string) error {
	width, height, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return err
	}
	if width == 0 || height == 0 { // a terminal without a size
		width, height = 80, 24
	}
	lines := strings.Split("tidemark top  "+time.Now().Format(time.TimeOnly)+"  q ends\n\n"+strings.TrimRight(text, "\n"), "\n")
	var screen strings.Builder
	screen.WriteString("\x1b[H")
	for i, line := range lines[:min(len(lines), height)] {
		if i > 0 {
			screen.WriteString("\r\n")
		}
		if runes := []rune(line); len(runes) > width {
			line = string(runes[:width])
		}
		screen.WriteString(line + "\x1b[K")
	}
	screen.WriteString("\x1b[J")
	_, err = io.WriteString(file, screen.String())
	return err
}
