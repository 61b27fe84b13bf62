package config

func defaultFeeds() map[string]Feed {
	return map[string]Feed{"notifications": {
		Paths:    []string{"/events", "/sse-notifications", "/api/events/subscribe"},
		Stream:   "NOTIFICATIONS",
		Subjects: []string{"notifications.broadcast", "notifications.user.{user}"},
		Allow:    []string{"notifications.city.*", "notifications.topic.>"},
		Replay:   ReplayAuto,
	}}
}
