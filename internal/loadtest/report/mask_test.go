package report

import "testing"

func TestPlain_Secrets_AreMasked(t *testing.T) {
	tests := []struct{ in, want string }{
		{"nats://user:pw@host:4222", "nats://…@host:4222"},
		{"nats://token@host", "nats://…@host"},
		{"http://h/a@b?user={{.User}}", "http://h/a@b?user={{.User}}"},
		{"http://h/?user=1&access_token=abc&x=2", "http://h/?user=1&access_token=…&x=2"},
		{`Get "http://h/?jwt=abc": EOF`, `Get "http://h/?jwt=…": EOF`},
		{"a\x1b[2Jb\r\nc\u202ed\xff", "a [2Jb  c d?"},
	}
	for _, tt := range tests {
		if got := plain(tt.in); got != tt.want {
			t.Errorf("plain(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}
