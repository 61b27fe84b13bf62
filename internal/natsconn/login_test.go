package natsconn_test

import (
	"testing"

	"github.com/tidemark/tidemark/internal/natsconn"
)

func TestWithoutLogin_List_HasNoLogins(t *testing.T) {
	in := "nats://a:1,tls://me:p@ss@b:2,token@c, nats://u:p/w@d:4/x"
	if got, want := natsconn.WithoutLogin(in), "nats://a:1,tls://b:2,nats://c,nats://d:4/x"; got != want {
		t.Errorf("%q is shown as %q, want %q", in, got, want)
	}
}
