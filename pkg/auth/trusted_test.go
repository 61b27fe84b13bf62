package auth_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/pkg/auth"
)

func TestTrustedHeader_PeerIsListed_NamesTheUser(t *testing.T) {
	source := auth.TrustedHeader("X-Login", "10.0.0.7", "fd00::/8", "::ffff:10.9.9.9")
	for _, c := range []struct {
		peer, header, user string
	}{
		{"10.0.0.7:4000", "X-Login", "42"},
		{"[fd00::1]:4000", "X-Login", "42"},
		{"10.9.9.9:4000", "X-Login", "42"},
		{"10.0.0.8:4000", "X-Login", ""},
		{"10.0.0.7:4000", "X-User", ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		r.Header.Set(c.header, "42")
		id, err := source(r)
		if id.User() != c.user || (c.user == "") != errors.Is(err, auth.ErrNoIdentity) {
			t.Errorf("%s from %s: user %q, %v; want %q", c.header, c.peer, id.User(), err, c.user)
		}
	}
}

func TestTrustedHeader_AddressIsNone_PanicsWithIt(t *testing.T) {
	defer func() {
		if got, _ := recover().(string); !strings.Contains(got, `"gateway.local"`) {
			t.Errorf("panic %q does not name the address", got)
		}
	}()
	auth.TrustedHeader("X-User", "10.0.0.7", "gateway.local")
}

func TestParsePrefixes_TextIsNone_ErrorNamesIt(t *testing.T) {
	if _, err := auth.ParsePrefixes("10.0.0.0/8", "10.0.0.0/40"); err == nil || !strings.Contains(err.Error(), `"10.0.0.0/40"`) {
		t.Errorf("the error is %v", err)
	}
	if got, err := auth.ParsePrefixes("10.1.2.3/8"); err != nil || got[0].String() != "10.0.0.0/8" {
		t.Errorf("%v, %v; want the network without host bits", got, err)
	}
}
