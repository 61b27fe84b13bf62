package logging

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestHTTPErrors_Tokens_AreRedacted(t *testing.T) {
	for _, line := range []string{
		`http: panic serving 127.0.0.1:5: bad "GET /events?user=1&access_token=s3cret HTTP/1.1"`,
		"access_token=s3cret",
		"Get \"https://a.example/events?access_token=s3cret\": EOF",
		"one\ttwo=2 Access_Token=s3cret&x=1\nnext access%5ftoken=s3cret",
		"to https://a.example/login?back=%2Fevents%3Faccess_token%3Ds3cret",
	} {
		var out bytes.Buffer
		HTTPErrors(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))).Print(line)
		if got := out.String(); strings.Contains(got, "s3cret") || !strings.Contains(got, "…") {
			t.Errorf("%q became %q", line, got)
		}
	}
	const plain = `http: TLS handshake error from 127.0.0.1:5: a=b "c"`
	if got := redactWords(plain); got != plain {
		t.Errorf("%q became %q", plain, got)
	}
}
