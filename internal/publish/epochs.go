package publish

import (
	"context"
	"sync"
	"time"

	"github.com/tidemark/tidemark/internal/jsapi"
	"github.com/tidemark/tidemark/internal/streamdef"
)

// epochs caches the epochs of the streams that store messages.
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

// stored records the sequence of a message. before are the marks of the time when it was sent: a sequence
// that is not above its mark is of another incarnation of the stream. The latest marks would not do,
// because acknowledgements of concurrent publishes arrive in any order.
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

// get returns the epoch of a stream. It is empty when the request for it fails: the message is stored,
// and a position without an epoch is valid.
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
