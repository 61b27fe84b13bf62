package publish

import (
	"context"
	"sync"
	"time"

	"github.com/tidemark/tidemark/internal/jsapi"
	"github.com/tidemark/tidemark/internal/streamdef"
)

// epochs remembers the epochs of the streams that messages were stored in.
type epochs struct {
	api jsapi.Client
	ttl time.Duration

	mu      sync.Mutex
	streams map[string]*streamEpoch
}

type streamEpoch struct {
	last  uint64 // the highest sequence acknowledged
	epoch string // empty when unknown
	until time.Time
}

func newEpochs(a jsapi.Client, ttl time.Duration) *epochs {
	return &epochs{api: a, ttl: ttl, streams: make(map[string]*streamEpoch)}
}

// marks returns the highest sequence acknowledged by each stream so far.
func (e *epochs) marks() map[string]uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	marks := make(map[string]uint64, len(e.streams))
	for name, s := range e.streams {
		marks[name] = s.last
	}
	return marks
}

// stored notes that seq was given to a message which was sent when before were the marks.
// A sequence that is not above its mark comes from another incarnation of the stream. The
// marks of the time of sending are compared, not the latest: acknowledgements of concurrent
// publishes are seen in any order.
func (e *epochs) stored(stream string, seq uint64, before map[string]uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.entryLocked(stream)
	if mark, known := before[stream]; known && seq <= mark && s.last >= mark {
		*s = streamEpoch{}
	}
	s.last = max(s.last, seq)
}

func (e *epochs) entryLocked(stream string) *streamEpoch {
	s := e.streams[stream]
	if s == nil {
		s = &streamEpoch{}
		e.streams[stream] = s
	}
	return s
}

// get returns the epoch of a stream, or none when it cannot be had: the message is stored,
// and a position without an epoch is a position still.
func (e *epochs) get(ctx context.Context, stream string) string {
	if epoch, ok := e.cached(stream); ok {
		return epoch
	}
	var info jsapi.StreamInfo
	if err := e.api.Request(ctx, "STREAM.INFO."+stream, nil, &info); err != nil {
		return ""
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.entryLocked(stream)
	if info.Config.Mirror != nil && !streamdef.SharesEpoch(info.Config.Metadata) {
		return "" // its origin has stored the message, under an epoch that is not known here
	}
	s.epoch, s.until = streamdef.Epoch(info.Created, info.Config.Metadata), time.Now().Add(e.ttl)
	return s.epoch
}

func (e *epochs) cached(stream string) (epoch string, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.entryLocked(stream)
	return s.epoch, s.epoch != "" && time.Now().Before(s.until)
}
