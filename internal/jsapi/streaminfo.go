package jsapi

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// StreamInfo has the used fields of a STREAM.INFO response.
type StreamInfo struct {
	Failure
	Created time.Time `json:"created"`
	Time    time.Time `json:"ts"` // by the server that answers
	Config  struct {
		Subjects   []string                  `json:"subjects"`
		Retention  jetstream.RetentionPolicy `json:"retention"`
		Replicas   int                       `json:"num_replicas"`
		Metadata   map[string]string         `json:"metadata"`
		Duplicates time.Duration             `json:"duplicate_window"`
		PerSubject int                       `json:"max_msgs_per_subject"` // -1 means unlimited
		MaxAge     time.Duration             `json:"max_age"`
		TTL        bool                      `json:"allow_msg_ttl"`
		Schedules  bool                      `json:"allow_msg_schedules"`
		Mirror     *struct {
			Name string `json:"name"`
		} `json:"mirror"`
		ConsumerLimits jetstream.StreamConsumerLimits `json:"consumer_limits"`
	} `json:"config"`
	Mirror *struct {
		Lag    uint64              `json:"lag"`
		Active time.Duration       `json:"active"`
		Error  *jetstream.APIError `json:"error"`
	} `json:"mirror"`
	State struct {
		Msgs       uint64    `json:"messages"`
		FirstSeq   uint64    `json:"first_seq"`
		LastSeq    uint64    `json:"last_seq"`
		LastTime   time.Time `json:"last_ts"`
		NumDeleted uint64    `json:"num_deleted"`
		Deleted    []uint64  `json:"deleted"`
		Consumers  int       `json:"consumer_count"`
		Subjects   int       `json:"num_subjects"`
	} `json:"state"`
}
