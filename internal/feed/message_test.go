package feed_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

func TestParsePosition_ValidAndInvalid_AsDocumented(t *testing.T) {
	for in, want := range map[string]feed.Position{
		"0":                    {},
		"1042":                 {Seq: 1042},
		"1042-k7f3q9":          {Seq: 1042, Epoch: "k7f3q9"},
		"0-a":                  {Epoch: "a"},
		"7-eu-west-2":          {Seq: 7, Epoch: "eu-west-2"},
		"18446744073709551615": {Seq: 1<<64 - 1},
	} {
		if got, err := feed.ParsePosition(in); got != want || err != nil {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "-", "-a", "x", "1x", "+1", "-1", " 1", "1 ", "01", "1-", "1-A", "1-é", "1_a", "1.5", "0x10",
		"18446744073709551616", "1-" + strings.Repeat("a", 33), strings.Repeat("1", 200), "1\n", "1-a\x00", "１",
	} {
		if got, err := feed.ParsePosition(in); !errors.Is(err, feed.ErrPosition) {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
}

func FuzzPosition(f *testing.F) {
	for _, s := range []string{"0", "1042-k7f3q9", "-", "1-", "99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := feed.ParsePosition(s)
		if err == nil && p.String() != s {
			t.Errorf("%q reads as %+v, which is written %q", s, p, p)
		}
	})
}

func TestValidateMessage_EachLimit_IsEnforced(t *testing.T) {
	ok := feed.Message{Subject: "tidemark", Type: "greeting", ID: "x-1", TTL: time.Minute, Header: map[string]string{"Content-Type": "text/csv", "ce-x": "é"}}
	if err := ok.Validate(); err != nil {
		t.Error(err)
	}
	bad := map[string]feed.Message{
		"subject":  {Subject: "a.*"},
		"event":    {Subject: "a", Type: "tidemark.gap"},
		"subject ": {Subject: "$JS.API.STREAM.DELETE.NOTIFICATIONS"},
		"id":       {Subject: "a", ID: "x\r\nNats-Rollup: all"},
		" subject": {Subject: "tidemark.revoke"},
		"ttl":      {Subject: "a", TTL: -time.Second},
		"ttl ":     {Subject: "a", TTL: time.Second + 1},
		"X-A":      {Subject: "a", Header: map[string]string{"X-A": "x\r\nNats-Rollup: all"}},
		"X-B":      {Subject: "a", Header: map[string]string{"X-B": " x"}},
		"NATS-TTL": {Subject: "a", Header: map[string]string{"NATS-TTL": "1s"}},
		"X:":       {Subject: "a", Header: map[string]string{"X:": "x"}},
	}
	for _, field := range slices.Sorted(maps.Keys(bad)) {
		err := bad[field].Validate()
		if invalid, ok := errors.AsType[*feed.InvalidError](err); !ok || invalid.Field != strings.TrimSpace(field) {
			t.Errorf("%+v: %v", bad[field], err)
		}
	}
	for _, typ := range []string{"error", "open", "tidemark.x", "a\nb", "a\rb", "a\x00", " a", "\xff", strings.Repeat("x", 129)} {
		if feed.CheckType(typ) == nil {
			t.Errorf("event type %q is taken", typ)
		}
	}
}
