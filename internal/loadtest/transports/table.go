package transports

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Table is the result of a run.
type Table struct {
	Options Options `json:"options"` // with defaults resolved
	Rows    []Row   `json:"rows"`    // SSE, WebSocket, long polling, short polling
	// Assumptions are sentences that explain the figures.
	Assumptions []string `json:"assumptions"`
}

// Row is the traffic of one transport in both directions together. Bytes are those of HTTP and its
// content; wire bytes include the headers of TCP and IP. Figures that need packets are nil when those
// are unknown, which is on all systems but Linux.
type Row struct {
	Transport              string   `json:"transport"`
	IdleBytesPerMinute     float64  `json:"idle_bytes_per_minute"`
	IdlePacketsPerMinute   *float64 `json:"idle_packets_per_minute"`
	IdleWireBytesPerMinute *float64 `json:"idle_wire_bytes_per_minute"`
	BytesPerEvent          float64  `json:"bytes_per_event"`
	PacketsPerEvent        *float64 `json:"packets_per_event"`
	WireBytesPerEvent      *float64 `json:"wire_bytes_per_event"`
	ConnectBytes           float64  `json:"connect_bytes"` // until the client was ready
	Events                 int      `json:"events"`        // received, each once
	Delay                  string   `json:"delay"`         // that the transport adds to an event
}

// Text writes the table with its assumptions below, for a terminal.
func (t Table) Text(w io.Writer) error {
	var b strings.Builder
	lines := [][]string{
		{"", "idle minute", "", "", "event", "", "", "connect", ""},
		{"", "bytes", "packets", "on the wire", "bytes", "packets", "on the wire", "bytes", "delay of an event"},
	}
	for _, row := range t.Rows {
		lines = append(lines, row.cells())
	}
	align(&b, lines)
	b.WriteString("\n")
	for _, a := range t.Assumptions {
		b.WriteString("- " + a + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Row) cells() []string {
	return []string{
		r.Transport,
		figure(&r.IdleBytesPerMinute), figure(r.IdlePacketsPerMinute), figure(r.IdleWireBytesPerMinute),
		figure(&r.BytesPerEvent), figure(r.PacketsPerEvent), figure(r.WireBytesPerEvent),
		figure(&r.ConnectBytes), r.Delay,
	}
}

// figure has a decimal below 100: a packet more or less matters there.
func figure(v *float64) string {
	switch {
	case v == nil:
		return "unknown"
	case math.Abs(*v) < 100:
		return strconv.FormatFloat(math.Round(*v*10)/10, 'f', -1, 64)
	}
	return strconv.FormatFloat(math.Round(*v), 'f', 0, 64)
}

// align aligns numbers to the right, and the words of the first and the last column to the left.
func align(b *strings.Builder, lines [][]string) {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range lines {
		last := len(line) - 1
		text := fmt.Sprintf("%-*s", widths[0], line[0])
		for i, cell := range line[1:last] {
			text += fmt.Sprintf("  %*s", widths[i+1], cell)
		}
		b.WriteString(strings.TrimRight(text+"  "+line[last], " ") + "\n")
	}
}
