package jetstore

import "testing"

func TestParseReply(t *testing.T) {
	want := metadata{consumer: "tidemark-tail-X-1", seq: 1042, delivery: 7, nanos: 1_700_000_000_123, pending: 3}
	tail := ".S.tidemark-tail-X-1.1.1042.7.1700000000123.3"
	for _, reply := range []string{
		"$JS.ACK" + tail,
		"$JS.ACK.hub.ACCHASH" + tail,
		"$JS.ACK._.ACCHASH" + tail + ".token",
	} {
		if got, ok := parseReply(reply); !ok || got != want {
			t.Errorf("%s: %+v, %v", reply, got, ok)
		}
	}
	for _, reply := range []string{"$JS.ACK.", "$JS.ACK.S.C.1.2.3.4", "$JS.ACK.S.C.1.x.3.4.5", "$JS.ACK.hub.ACCHASH.S.C.1.2.3.4"} {
		if got, ok := parseReply(reply); ok {
			t.Errorf("%s: %+v", reply, got)
		}
	}
	if n := testing.AllocsPerRun(100, func() { parseReply("$JS.ACK.S.C.1.2.3.4.5") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
