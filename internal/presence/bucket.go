package presence

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// bucket is the key-value bucket with its settings.
type bucket struct {
	jetstream.KeyValue
	refresh time.Duration // rewrite values older than this
}

// openBucket opens the bucket, or creates it.
func (p *Presence) openBucket(ctx context.Context) (*bucket, error) {
	kv, err := p.js.KeyValue(ctx, p.opts.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = p.createBucket(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", p.opts.Bucket, err)
	}
	status, err := kv.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", p.opts.Bucket, err)
	}
	ttl := status.TTL()
	if ttl <= 0 {
		return nil, fmt.Errorf("bucket %s: its values have no lifetime, so the entries of dead nodes would never expire; set one (nats stream edit KV_%[1]s --max-age 1m)", p.opts.Bucket)
	}
	if ttl != p.opts.TTL {
		p.opts.Logger.Warn("presence: bucket has another lifetime than configured; using the bucket's", "bucket", p.opts.Bucket, "ttl", ttl.String())
	}
	return &bucket{KeyValue: kv, refresh: ttl / 3}, nil
}

func (p *Presence) createBucket(ctx context.Context) (jetstream.KeyValue, error) {
	kv, err := p.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: p.opts.Bucket, Description: "Tidemark: presence of connections", TTL: p.opts.TTL, Replicas: p.opts.Replicas,
		Storage: jetstream.MemoryStorage,
	})
	if err == nil {
		p.opts.Logger.Info("presence bucket created", "bucket", p.opts.Bucket, "ttl", p.opts.TTL.String(), "replicas", p.opts.Replicas)
	}
	return kv, err
}

// The keys of a node. The name of the node, the shard and the part are tokens, so that "*.17.*" matches
// shard 17 of all nodes.
func nodeKey(node string) string { return node + ".node" }

func shardKey(node string, shard, part int) string {
	return shardKeys(node, shard) + strconv.Itoa(part)
}

func shardKeys(node string, shard int) string { return fmt.Sprintf("%s.%02d.", node, shard) }
