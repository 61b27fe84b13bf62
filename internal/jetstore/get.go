package jetstore

import (
	"context"
	"time"
)

// msgQuery asks for one stored message: the first at or after Seq or StartTime that matches
// NextFor, the one at Seq, or the latest that matches LastFor.
type msgQuery struct {
	Seq       uint64     `json:"seq,omitempty"`
	NextFor   string     `json:"next_by_subj,omitempty"`
	LastFor   string     `json:"last_by_subj,omitempty"`
	StartTime *time.Time `json:"start_time,omitempty"`
}

type storedMsg struct {
	Subject string    `json:"subject"`
	Seq     uint64    `json:"seq"`
	Time    time.Time `json:"time"`
	Header  []byte    `json:"hdrs"`
	Data    []byte    `json:"data"`
}

// get asks the stream's leader for a message, which direct gets do not: a replica that lags
// may answer them.
func (l *Store) get(ctx context.Context, query msgQuery) (msg storedMsg, found bool, err error) {
	err = l.retry(ctx, func() (err error) {
		msg, found, err = l.getOnce(ctx, query)
		return err
	})
	return msg, found, err
}

func (l *Store) getOnce(ctx context.Context, query msgQuery) (msg storedMsg, found bool, err error) {
	var resp struct {
		failure
		Message storedMsg `json:"message"`
	}
	err = l.request(ctx, "STREAM.MSG.GET."+l.opts.Stream, query, &resp)
	if isAPIError(err, errNoMessage) {
		return storedMsg{}, false, nil
	}
	return resp.Message, err == nil, err
}
