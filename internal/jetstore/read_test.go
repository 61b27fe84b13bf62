package jetstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/testkit"
)

func TestReadLargerThanBatchBytes(t *testing.T) {
	s := newStand(t)
	l := s.open(jetstore.Options{BatchBytes: 4096})
	var want []int
	for _, size := range []int{10, 100_000, 10, 3000, 3000, 200_000, 300_000, 0, 10} {
		s.publish("notifications.a", make([]byte, size), nil)
		want = append(want, size)
	}
	r, err := l.Read(s.ctx(), feed.ReadOptions{From: 1, To: uint64(len(want))})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got []int
	for err == nil {
		var batch feed.Batch
		batch, err = r.Next(s.ctx())
		bytes := 0
		for _, ev := range batch.Events {
			got = append(got, len(ev.Data))
			bytes += len(ev.Data)
		}
		if bytes > 4096 && len(batch.Events) > 1 {
			t.Errorf("%d events of %d bytes in one batch", len(batch.Events), bytes)
		}
	}
	if !errors.Is(err, io.EOF) || !slices.Equal(got, want) {
		t.Errorf("sizes %v, %v; want %v", got, err, want)
	}
}

func TestReadBeyondTheEnd(t *testing.T) {
	s := newStand(t)
	l := s.open(jetstore.Options{})
	s.publishMany(10, "notifications.a")
	for _, o := range []feed.ReadOptions{{From: 11, To: 10}, {From: 50, To: 60}, {From: 11, To: 11}} {
		if got, end := s.read(l, o); len(got) != 0 || end.LastSeq != 10 {
			t.Errorf("%+v: %v, %+v", o, got, end)
		}
	}
	if _, err := l.Read(s.ctx(), feed.ReadOptions{To: 10}); err == nil {
		t.Error("sequence 0 can be read")
	}
}

func TestReadPurgedMidway(t *testing.T) {
	s := newStand(t)
	l := s.open(jetstore.Options{Batch: 50})
	s.publishMany(1000, "notifications.a")
	r, err := l.Read(s.ctx(), feed.ReadOptions{From: 1, To: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	last := uint64(0)
	for n := 0; ; n++ {
		batch, err := r.Next(s.ctx())
		for _, ev := range batch.Events {
			if ev.Seq != last+1 && batch.State.FirstSeq <= last+1 {
				t.Errorf("%d follows %d, and the state does not show why: %+v", ev.Seq, last, batch.State)
			}
			last = ev.Seq
		}
		if errors.Is(err, io.EOF) {
			if last != 1000 {
				t.Errorf("the replay ended at %d", last)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if n == 3 {
			s.purge(800)
		}
	}
}

func TestReadInteriorDeletes(t *testing.T) {
	s := newStand(t)
	l := s.open(jetstore.Options{MaxDeleted: 3})
	s.publishMany(20, "notifications.a")
	for seq := uint64(10); seq < 13; seq++ {
		s.deleteMsg(seq)
	}
	got, _ := s.read(l, feed.ReadOptions{From: 8, To: 14})
	if !slices.Equal(got, []uint64{8, 9, 13, 14}) {
		t.Errorf("read %v", got)
	}
	if holes, err := l.HasHoles(s.ctx(), 13, 20); holes || err != nil {
		t.Errorf("13 to 20 have holes: %v, %v", holes, err)
	}
	s.deleteMsg(7)
	if holes, err := l.HasHoles(s.ctx(), 13, 20); !holes || err != nil {
		t.Errorf("beyond MaxDeleted: %v, %v", holes, err)
	}
}

func TestReadLastPerSubject(t *testing.T) {
	s := newStand(t)
	l := s.open(jetstore.Options{Batch: 10})
	for range 2 {
		for n := range 100 {
			s.publish(fmt.Sprint("notifications.user.", n), nil, nil)
		}
	}
	s.publish("notifications.user.3", nil, nil) // 201 replaces 104, beyond To
	got, _ := s.read(l, feed.ReadOptions{From: 1, To: 200, LastPerSubject: true})
	want := slices.DeleteFunc(span(101, 200), func(seq uint64) bool { return seq == 104 })
	if !slices.Equal(got, want) {
		t.Errorf("%d events: %v", len(got), got)
	}
	got, _ = s.read(l, feed.ReadOptions{From: 190, To: 201, LastPerSubject: true, Filters: []string{"notifications.user.3", "notifications.user.95"}})
	if !slices.Equal(got, []uint64{196, 201}) {
		t.Errorf("from 190: %v", got)
	}
}

func span(from, to uint64) (seqs []uint64) {
	for seq := from; seq <= to; seq++ {
		seqs = append(seqs, seq)
	}
	return seqs
}

func TestReadTypes(t *testing.T) {
	s := newStand(t)
	l := s.open(jetstore.Options{})
	for _, h := range []nats.Header{
		nil,
		{"Event-Type": {"greeting"}, "ce-type": {"other"}},
		{"ce-type": {"com.example.made"}},
		{"Event-Type": {"tidemark.gap"}},
		{"Event-Type": {"error"}},
		{"Event-Type": {strings.Repeat("x", 500)}},
	} {
		s.publish("notifications.a", []byte("x"), h)
	}
	r, err := l.Read(s.ctx(), feed.ReadOptions{From: 1, To: 6})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	batch, err := r.Next(s.ctx())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, ev := range batch.Events {
		got = append(got, ev.Type)
	}
	if want := []string{"", "greeting", "com.example.made", "", "", ""}; !slices.Equal(got, want) {
		t.Errorf("types %q, want %q", got, want)
	}
}

func TestRead_TypeInHeaderOfOtherCase_IsWarnedOfOnce(t *testing.T) {
	s := newStand(t)
	for name, header := range map[string]nats.Header{
		"event-type": {"event-type": {"greeting"}}, "EVENT-TYPE": {"X": {"1"}, "EVENT-TYPE": {"greeting"}}, "Ce-Type": {"Ce-Type": {"greeting"}}, "tidemark.": {"Event-Type": {"tidemark.open"}},
	} {
		var log testkit.Log
		l := s.open(jetstore.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		seq := s.publish("notifications.odd", []byte("x"), header)
		s.publish("notifications.odd", []byte("x"), header)
		s.publish("notifications.fine", []byte("x"), nats.Header{"Nats-Msg-Id": {name}, "event-kind": {"x"}, "event-type": {""}})
		r, err := l.Read(s.ctx(), feed.ReadOptions{From: seq, To: seq + 2})
		if err != nil {
			t.Fatal(err)
		}
		batch, err := r.Next(s.ctx())
		r.Close()
		if err != nil || len(batch.Events) != 3 || batch.Events[0].Type != "" {
			t.Errorf("%s: %+v, %v", name, batch.Events, err)
		}
		text := log.String()
		if strings.Count(text, "without its type") != 1 || !strings.Contains(text, "subject=notifications.odd") || !strings.Contains(text, name) {
			t.Errorf("%s: logged %s", name, text)
		}
	}
}

func TestReadRefusedByRetention(t *testing.T) {
	s := newStand(t)
	s.reset(jetstream.StreamConfig{Retention: jetstream.WorkQueuePolicy})
	l := s.open(jetstore.Options{})
	s.publishMany(3, "notifications.a")
	_, err := l.Read(s.ctx(), feed.ReadOptions{From: 1, To: 3})
	if err == nil || !strings.Contains(strings.ToLower(err.Error()), "workqueue retention") {
		t.Errorf("reading a work queue: %v", err)
	}
	ctx, cancel := context.WithCancel(s.ctx())
	defer cancel()
	var contact error
	for _, err := range l.Follow(ctx, feed.FollowOptions{From: 1, Contact: func(err error) { contact = err; cancel() }}) {
		t.Errorf("following a work queue: %v", err)
	}
	if contact == nil || !strings.Contains(strings.ToLower(contact.Error()), "workqueue retention") {
		t.Errorf("contact with a work queue: %v", contact)
	}
}

func TestNoStream(t *testing.T) {
	s := newStand(t)
	l := s.open(jetstore.Options{})
	s.publishMany(500, "notifications.a")
	r, err := l.Read(s.ctx(), feed.ReadOptions{From: 1, To: 500})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s.deleteStream()
	if _, err := l.State(s.ctx()); !errors.Is(err, feed.ErrNoStream) {
		t.Errorf("State: %v", err)
	}
	if _, err := l.Read(s.ctx(), feed.ReadOptions{From: 1, To: 1}); !errors.Is(err, feed.ErrNoStream) {
		t.Errorf("Read: %v", err)
	}
	if _, err := r.Next(s.ctx()); !errors.Is(err, feed.ErrNoStream) {
		t.Errorf("Next: %v", err)
	}
}

func TestConsumerCap(t *testing.T) {
	s := newStand(t)
	s.reset(jetstream.StreamConfig{MaxConsumers: 2})
	l := s.open(jetstore.Options{})
	s.publishMany(10, "notifications.a")
	opts := feed.ReadOptions{From: 1, To: 10}
	var held []feed.Reader
	for range 2 {
		r, err := l.Read(s.ctx(), opts)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, r)
	}
	short, cancel := context.WithTimeout(s.ctx(), 300*time.Millisecond)
	defer cancel()
	if _, err := l.Read(short, opts); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a third replay: %v", err)
	}
	var third sync.WaitGroup
	third.Go(func() {
		if got, _ := s.read(l, opts); len(got) != 10 {
			t.Errorf("read %v", got)
		}
	})
	held[0].Close()
	third.Wait()
	held[1].Close()
}

// Readers that are given up at any moment leave no consumer: while they queue, while the
// server creates, while events are on their way, and between batches.
func TestAbortsLeaveNothing(t *testing.T) {
	s := newStand(t)
	l := s.open(jetstore.Options{MaxCreates: 8, Batch: 10, InactiveThreshold: time.Hour})
	s.publishMany(200, "notifications.a")
	base := s.ctx()
	var aborts sync.WaitGroup
	for n := range 1000 {
		aborts.Go(func() { abort(t, l, base, n) })
	}
	aborts.Wait()
	s.await("no consumer is left", func() bool { return len(s.consumers("tidemark-")) == 0 })
}

func abort(t *testing.T, l *jetstore.Store, base context.Context, n int) {
	ctx, cancel := context.WithTimeout(base, rand.N(300*time.Millisecond))
	defer cancel()
	r, err := l.Read(ctx, feed.ReadOptions{From: 1, To: 200})
	if err != nil {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		return
	}
	defer r.Close()
	for range n % 4 {
		if _, err := r.Next(ctx); err != nil {
			return
		}
	}
}

func TestCloseDeletesConsumers(t *testing.T) {
	s := newStand(t)
	l := s.open(jetstore.Options{InactiveThreshold: time.Hour, NamePrefix: "closing"})
	s.publishMany(10, "notifications.a")
	for range 50 {
		r, err := l.Read(s.ctx(), feed.ReadOptions{From: 1, To: 10})
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
	l.Close()
	l.Close()
	if left := s.consumers("closing-"); len(left) > 0 {
		t.Errorf("left after Close: %v", left)
	}
	if _, err := l.State(s.ctx()); !errors.Is(err, jetstore.ErrClosed) {
		t.Errorf("State after Close: %v", err)
	}
	if _, err := l.Read(s.ctx(), feed.ReadOptions{From: 1, To: 10}); !errors.Is(err, jetstore.ErrClosed) {
		t.Errorf("Read after Close: %v", err)
	}
}

func TestEpochFromMetadata(t *testing.T) {
	s := newStand(t)
	l := s.open(jetstore.Options{})
	hash := s.epoch(l)
	if len(hash) != 6 {
		t.Errorf("epoch %q", hash)
	}
	s.restart()
	s.answered()
	if again := s.epoch(l); again != hash {
		t.Errorf("a restart changed the epoch from %q to %q", hash, again)
	}
	for name, want := range map[string]string{"eu-west-2026": "eu-west-2026", "Not Valid": hash} {
		cfg := s.stream().CachedInfo().Config
		cfg.Metadata = map[string]string{"tidemark.epoch": name}
		if _, err := s.js.UpdateStream(s.ctx(), cfg); err != nil {
			t.Fatal(err)
		}
		if got := s.epoch(l); got != want {
			t.Errorf("metadata %q: epoch %q, want %q", name, got, want)
		}
	}
}

func TestOpenOptions(t *testing.T) {
	s := newStand(t)
	for _, o := range []jetstore.Options{
		{},
		{Stream: "A.B"},
		{Stream: "A", Domain: "d", APIPrefix: "p"},
		{Stream: "A", Domain: "d.e"},
		{Stream: "A", NamePrefix: "a b"},
	} {
		if _, err := jetstore.Open(s.nc, o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
	l := s.open(jetstore.Options{APIPrefix: "$JS.API"})
	s.publishMany(3, "notifications.a")
	if got, _ := s.read(l, feed.ReadOptions{From: 1, To: 3}); len(got) != 3 {
		t.Errorf("with an API prefix: %v", got)
	}
}

// nats-server 2.15.2 drops a message of a last-per-subject consumer when it does not fit into what
// is left of a pull request's max_bytes.
func TestRead_LastPerSubjectBeyondBatchBytes_ReturnsEverySubject(t *testing.T) {
	for name, opts := range map[string]jetstore.Options{
		"several a batch": {BatchBytes: 5000},
		"one a batch":     {BatchBytes: 300},
		"counted":         {Batch: 3},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			l := s.open(opts)
			const subjects = 50
			for i := range subjects {
				s.publish(fmt.Sprint("notifications.", i), make([]byte, 100+40*i), nil)
			}
			r, err := l.Read(s.ctx(), feed.ReadOptions{From: 1, To: subjects, LastPerSubject: true})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			var seqs []uint64
			for {
				batch, err := r.Next(s.ctx())
				for _, ev := range batch.Events {
					seqs = append(seqs, ev.Seq)
				}
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if len(seqs) != subjects || !slices.IsSorted(seqs) {
				t.Errorf("%d events: %v", len(seqs), seqs)
			}
		})
	}
}
