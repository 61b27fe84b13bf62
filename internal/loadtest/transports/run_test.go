package transports

import (
	"context"
	"errors"
	"testing"
	"time"
)

// quickOptions have one period for every transport, so that their idle figures compare.
var quickOptions = Options{
	Idle: 60 * time.Millisecond, Events: 5, Interval: time.Millisecond,
	Heartbeat: 20 * time.Millisecond, Hold: 20 * time.Millisecond, PollInterval: 20 * time.Millisecond,
}

func run(t *testing.T, o Options) Table {
	t.Helper()
	table, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestRun_AllTransports_CountTraffic(t *testing.T) {
	table := run(t, quickOptions)
	if len(table.Rows) != 4 {
		t.Fatalf("%d rows, want 4", len(table.Rows))
	}
	sse, socket, long, short := table.Rows[0], table.Rows[1], table.Rows[2], table.Rows[3]
	for _, row := range table.Rows {
		if row.Events != quickOptions.Events {
			t.Errorf("%s: %d events, want %d", row.Transport, row.Events, quickOptions.Events)
		}
		if row.BytesPerEvent < 100 {
			t.Errorf("%s: %v bytes per event, less than its data", row.Transport, row.BytesPerEvent)
		}
		if p := row.IdlePacketsPerMinute; p != nil && *p <= 0 {
			t.Errorf("%s: %v packets while idle", row.Transport, *p)
		}
	}
	for _, polling := range []Row{long, short} {
		for _, pushed := range []Row{sse, socket} {
			if pushed.IdleBytesPerMinute >= polling.IdleBytesPerMinute {
				t.Errorf("idle, %s costs %v and %s %v", pushed.Transport, pushed.IdleBytesPerMinute, polling.Transport, polling.IdleBytesPerMinute)
			}
		}
	}
	if sse.BytesPerEvent >= long.BytesPerEvent {
		t.Errorf("an event costs %v with SSE and %v with long polling", sse.BytesPerEvent, long.BytesPerEvent)
	}
}

// The test computes the sizes of the frames.
func TestRun_Frames_AreCountedToTheByte(t *testing.T) {
	table := run(t, quickOptions)
	perMinute := float64(time.Minute / quickOptions.Heartbeat)
	id := len(position(1))
	for _, tt := range []struct {
		row         Row
		beat, event int
	}{
		{table.Rows[0],
			len("3\r\n:\n\n\r\n"),
			len("80\r\ndata: \nid: \n\n\r\n") + 100 + id},
		{table.Rows[1],
			len("..1") + len("..mask1"),
			len("....") + len(`{"id":"","data":}`) + 100 + id}, // from 126 bytes on, the length takes two more
	} {
		if got, want := tt.row.IdleBytesPerMinute/perMinute, float64(tt.beat); !near(got, want) {
			t.Errorf("%s: %v bytes a heartbeat, want %v", tt.row.Transport, got, want)
		}
		if got, want := tt.row.BytesPerEvent, float64(tt.event); !near(got, want) {
			t.Errorf("%s: %v bytes an event, want %v", tt.row.Transport, got, want)
		}
	}
}

func near(a, b float64) bool { return a-b < 1e-6 && b-a < 1e-6 }

// Each poll sends the cookie; SSE and the WebSocket send it once.
func TestRun_Cookie_CostsEachPoll(t *testing.T) {
	small, large := quickOptions, quickOptions
	small.Cookie, large.Cookie = -1, 1000
	without, with := run(t, small), run(t, large)
	perMinute := float64(time.Minute / quickOptions.Hold)
	for i, want := range []float64{0, 0, 1000, 1000} {
		got := (with.Rows[i].IdleBytesPerMinute - without.Rows[i].IdleBytesPerMinute) / perMinute
		if !near(got, want) {
			t.Errorf("%s: 1000 bytes of cookie cost %v an exchange, want %v", with.Rows[i].Transport, got, want)
		}
		if got := with.Rows[i].ConnectBytes - without.Rows[i].ConnectBytes; got < 1000 {
			t.Errorf("%s: 1000 bytes of cookie cost %v to connect", with.Rows[i].Transport, got)
		}
	}
}

func TestRun_LargePayload_HasManyPackets(t *testing.T) {
	o := quickOptions
	o.Payload = 100_000
	for _, row := range run(t, o).Rows {
		if row.BytesPerEvent < 100_000 {
			t.Errorf("%s: %v bytes per event", row.Transport, row.BytesPerEvent)
		}
		if p := row.PacketsPerEvent; p != nil && *p < 100_000/1460 {
			t.Errorf("%s: %v packets carry 100,000 bytes", row.Transport, *p)
		}
	}
}

func TestRun_ContextEnds_ReturnsCause(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
	if _, err := Run(ctx, Options{}); !errors.Is(err, cause) {
		t.Errorf("Run: %v, want %v", err, cause)
	}
}

func TestRun_InvalidOptions_AreRejected(t *testing.T) {
	for _, o := range []Options{
		{Idle: -1}, {Interval: -1}, {Heartbeat: -1}, {Hold: -1}, {PollInterval: -1},
		{Events: -1}, {Payload: 1}, {Payload: maxPayload + 1}, {Cookie: maxCookie + 1},
	} {
		if _, err := Run(t.Context(), o); err == nil {
			t.Errorf("Run took %+v", o)
		}
	}
}

func TestPeriodCount_Span_IsCovered(t *testing.T) {
	c := measurement{period: 15 * time.Second}
	for span, want := range map[time.Duration]int{1: 1, 15 * time.Second: 1, 16 * time.Second: 2, time.Minute: 4} {
		if got := c.periodCount(span); got != want {
			t.Errorf("%v: %d beats, want %d", span, got, want)
		}
	}
}
