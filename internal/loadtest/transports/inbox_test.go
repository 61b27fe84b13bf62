package transports

import "testing"

func TestDelivery_Unexpected_Fails(t *testing.T) {
	first, second := newMessage(1, 10), newMessage(2, 10)
	for name, tt := range map[string]struct {
		got  delivery
		want *message
	}{
		"another event":     {delivery{message: first}, &second},
		"none":              {delivery{heartbeat: true}, &second},
		"one more":          {delivery{message: first}, nil},
		"cut off":           {delivery{message: message{first.ID, first.Data[:3]}}, &first},
		"a connection lost": {delivery{err: errReconnected}, nil},
	} {
		if tt.got.check(tt.want) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
