package feedhttp

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/pkg/auth"
)

// wakes is a engine.Waker that counts in a channel.
type wakes chan struct{}

func (w wakes) Wake() { w <- struct{}{} }

// A client that reads nothing gets no turn between the revocation and the store's answer.
func TestRevoke_WhileTheStoreIsRead_Stays(t *testing.T) {
	for name, answer := range map[string]error{"success": nil, "store closed": feed.ErrClosed, "other error": errors.New("no answer")} {
		t.Run(name, func(t *testing.T) {
			woken := make(wakes, 10)
			s := &session{handler: NewSubscribe(SubscribeOptions{}), grant: auth.Grant{User: "42"}, waker: woken, state: stateCatchingUp}
			reading, read := make(chan struct{}), make(chan error)
			s.mu.Lock()
			s.startReadLocked(func(context.Context) error {
				close(reading)
				return <-read
			})
			s.mu.Unlock()
			<-reading
			if !s.revoke(auth.Revocation{User: "42"}, time.Now()) {
				t.Fatal("the revocation does not match")
			}
			<-woken
			read <- answer
			<-woken
			s.mu.Lock()
			defer s.mu.Unlock()
			if !errors.Is(s.closeErr, errRevoked) {
				t.Errorf("the reason to end is %v, want %v", s.closeErr, errRevoked)
			}
		})
	}
}
