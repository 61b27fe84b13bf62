package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/tidemark/tidemark/internal/testcluster"
)

// hints writes a table of the running processes, and commands to try.
func hints(out io.Writer, t *testcluster.Topology) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nPROCESS\tPID\tAT\tLOG")
	for _, s := range t.NATS {
		fmt.Fprintf(w, "%s\t%d\t%s  %s\t%s\n", s.Name(), s.PID(), s.ClientURL, s.MonitorURL, s.LogFile())
	}
	for _, n := range t.Nodes {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", n.Name(), n.PID(), n.URL, n.LogFile())
	}
	front := t.Nodes[0].URL
	if t.Nginx != nil {
		front = t.Nginx.URL
		fmt.Fprintf(w, "%s\t%d\t%s  %s\t%s\n", t.Nginx.Name(), t.Nginx.PID(), t.Nginx.URL, t.Nginx.TLSURL, t.Nginx.LogFile())
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, `
  subscribe      curl -N '%[1]s/events?user=42'
  or             go run ./cmd/tidemark subscribe '%[1]s/events' --user 42
  publish        nats pub notifications.user.42 '{"text":"hi"}' -s %[2]s
  or             go run ./cmd/tidemark publish notifications.user.42 '{"text":"hi"}' --nats.url %[2]s
  kill a node    kill -9 %[3]d
  or a server    kill -9 %[4]d
  in a browser   %[1]s/

Ctrl-C stops all processes.

`, front, t.NATSURL(), t.Nodes[0].PID(), t.NATS[0].PID())
	return err
}
