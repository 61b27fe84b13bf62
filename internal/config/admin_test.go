package config

import "testing"

func TestAdminListen_Values_ReturnAddressAndOptional(t *testing.T) {
	for addr, want := range map[string]struct {
		addr     string
		optional bool
	}{
		"auto": {DefaultAdminAddr, true}, "off": {"", false}, "": {"", false},
		DefaultAdminAddr: {DefaultAdminAddr, false}, ":9": {":9", false},
	} {
		got, optional := Admin{Addr: addr}.Listen()
		if got != want.addr || optional != want.optional {
			t.Errorf("%q: %q, %v", addr, got, optional)
		}
	}
}

// In YAML 1.1 off is a boolean; here it is a word.
func TestAdminListen_OffInFile_ReturnsNoAddress(t *testing.T) {
	for _, content := range []string{"admin: {addr: off}", `admin: {addr: ""}`} {
		cfg := load(t, Options{File: file(t, content)})
		if addr, _ := cfg.Admin.Listen(); addr != "" {
			t.Errorf("%s: %q", content, addr)
		}
	}
}

func TestValidate_AdminAddr_MustDifferFromHTTPAddr(t *testing.T) {
	for _, tt := range []struct{ admin, http, want string }{
		{"auto", "127.0.0.1:8080", ""},
		{"auto", DefaultAdminAddr, ""}, // as with any other that is taken
		{"off", "127.0.0.1:8080", ""},
		{"127.0.0.1:0", "127.0.0.1:0", ""},
		{":8081", "127.0.0.1:8080", ""},
		{"on", "127.0.0.1:8080", `admin.addr: "on" is not an address; `},
		{"127.0.0.1:8080", "127.0.0.1:8080", "admin.addr: "},
		{":8080", "127.0.0.1:8080", "admin.addr: "},
		{"[::]:8080", "127.0.0.1:8080", "admin.addr: "},
		{"127.0.0.2:8080", "127.0.0.1:8080", ""},
	} {
		cfg := Default()
		cfg.Admin.Addr, cfg.HTTP.Addr = tt.admin, tt.http
		expect(t, cfg.Validate(), tt.want)
	}
}
