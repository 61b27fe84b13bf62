package config

func (l Limits) validate(maxBatch int, p *problems) {
	atLeast(p, "limits.streams", l.Streams, 0)
	atLeast(p, "limits.per_user", l.PerUser, 0)
	atLeast(p, "limits.per_address", l.PerAddress, 0)
	atLeast(p, "limits.replays", l.Replays, 0)
	if l.ReplayBytes < MiB {
		p.add("limits.replay_bytes", "%s is too little for the largest event and some others; set at least 1MiB", l.ReplayBytes)
	}
	atLeast(p, "limits.last_subjects", l.LastSubjects, 0)
	atLeast(p, "limits.last_waiting", l.LastWaiting, 0)
	atLeast(p, "limits.last_waiting_per_user", l.LastWaitingPerUser, 0)
	atLeast(p, "limits.last_waiting_per_address", l.LastWaitingPerAddress, 0)
	atLeast(p, "limits.connects_per_second", l.ConnectsPerSecond, 0)
	if l.ConnectsPerSecond > 0 {
		atLeast(p, "limits.connects_burst", l.ConnectsBurst, 1)
	}
	atLeast(p, "limits.publishes_per_second", l.PublishesPerSecond, 0)
	if l.PublishesPerSecond > 0 && l.PublishesBurst < max(maxBatch, 1) {
		p.add("limits.publishes_burst", "%d is less than the %d events of publish.max_batch; raise it, or lower that", l.PublishesBurst, max(maxBatch, 1))
	}
}

func (l SocketLimits) validate(p *problems) {
	atLeast(p, "limits.sockets", l.All, 0)
	atLeast(p, "limits.sockets_per_address", l.PerAddress, 0)
}
