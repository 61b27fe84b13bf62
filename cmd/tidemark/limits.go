package main

import (
	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/feedhttp"
)

// limits are those that admission enforces.
func limits(l config.Limits) feedhttp.Limits {
	return feedhttp.Limits{
		Connections: l.Streams, PerUser: l.PerUser, PerAddress: l.PerAddress, Replays: l.Replays,
		LastSubjects: l.LastSubjects, LastWaiting: l.LastWaiting, LastWaitingPerUser: l.LastWaitingPerUser, LastWaitingPerAddress: l.LastWaitingPerAddress,
		ConnectsPerSecond: l.ConnectsPerSecond, ConnectsBurst: l.ConnectsBurst,
		PublishesPerSecond: l.PublishesPerSecond, PublishesBurst: l.PublishesBurst,
	}
}
