package jetstore

import "context"

// Count implements feed.Store. It returns the number of messages that a new consumer would deliver from
// a sequence on. The server has that number without reading them.
func (s *Store) Count(ctx context.Context, from uint64) (uint64, error) {
	cfg := s.opts.consumerConfig(nil)
	cfg.HeadersOnly = true
	p, err := s.newPuller("check", s.replays, 0, cfg)
	if err != nil {
		return 0, err
	}
	defer p.close()
	var made created
	err = s.leader.retry(ctx, func() (err error) {
		made, err = p.open(ctx, max(from, 1), s.creator.now)
		return err
	})
	return made.NumPending, err
}
