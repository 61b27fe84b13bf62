package jetstore

import "context"

// Count implements feed.Store. It is what a consumer has to deliver that would begin at from, which
// the server knows without reading the messages.
func (l *Store) Count(ctx context.Context, from uint64) (uint64, error) {
	cfg := l.consumerConfig(nil)
	cfg.HeadersOnly = true
	p, err := l.newPuller("check", l.replays, 0, cfg)
	if err != nil {
		return 0, err
	}
	defer p.close()
	var made created
	err = l.retry(ctx, func() (err error) {
		made, err = p.open(ctx, max(from, 1), l.creates.now)
		return err
	})
	return made.NumPending, err
}
