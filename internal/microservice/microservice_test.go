package microservice

import (
	"errors"
	"testing"
)

func TestSemVer_AnyVersion_IsValidForMicro(t *testing.T) {
	for version, want := range map[string]string{
		"v1.2.3": "1.2.3", "1.2.3-rc.1+x": "1.2.3-rc.1+x", "abc/def": "0.0.0+abc-def", "": "0.0.0", "1.2": "0.0.0+1-2",
	} {
		if got := semVer(version); got != want {
			t.Errorf("%q: %q, want %q", version, got, want)
		}
	}
}

func TestDenied_Violations_OfTheServiceAlone(t *testing.T) {
	s := New()
	for text, want := range map[string]bool{
		`nats: permissions violation for subscription to "$SRV.PING"`:        true,
		`nats: permissions violation for subscription to "tidemark.status"`:  true,
		`nats: permissions violation for subscription to "tidemark.revoke"`:  false,
		`nats: permissions violation for publish to "tidemark.status.other"`: false,
	} {
		if got := s.Denied(errors.New(text)); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	if n := len(s.denied); n != 1 {
		t.Errorf("%d violations are kept, want 1", n)
	}
}
