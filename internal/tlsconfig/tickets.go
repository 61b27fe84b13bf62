package tlsconfig

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// TicketKey encrypts session tickets.
type TicketKey = [32]byte

// tickets are the ticket keys of a file, set at a configuration.
type tickets struct {
	file   string
	config *tls.Config // SetSessionTicketKeys may be called while it is in use
}

func (t *tickets) load() error {
	keys, err := ReadTicketKeys(t.file)
	if err != nil {
		return fmt.Errorf("http.tls.ticket_keys: %w", err)
	}
	t.config.SetSessionTicketKeys(keys)
	return nil
}

// ReadTicketKeys reads a file of keys, each a line with 32 bytes in base64. New tickets use the first key; tickets of
// all keys are accepted. Empty lines, and lines that begin with #, are ignored.
//
// It refuses a file that users other than its owner can read: a key decrypts the traffic of all TLS 1.2 sessions whose
// tickets it encrypts. Windows has no such modes. Errors do not repeat keys.
func ReadTicketKeys(file string) (keys []TicketKey, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%s has mode %04o, and other users must have no access to the keys; run chmod 600 %s", file, mode, file)
	}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(key) != len(TicketKey{}) {
			return nil, fmt.Errorf("%s: line %d is not a key of 32 bytes in base64; make keys with openssl rand -base64 32", file, n)
		}
		keys = append(keys, TicketKey(key))
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(keys) == 0 {
		return nil, errors.New(file + " has no key; add a line with openssl rand -base64 32")
	}
	return keys, nil
}
