package natsd_test

import (
	"testing"

	"github.com/nats-io/nkeys"
)

func accountKey(t *testing.T) string {
	t.Helper()
	return public(t, newKey(t, nkeys.CreateAccount))
}

func newKey(t *testing.T, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	key, err := create()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(t *testing.T, key nkeys.KeyPair) string {
	t.Helper()
	text, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return text
}
