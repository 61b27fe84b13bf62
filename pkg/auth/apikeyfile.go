package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

const (
	hashPrefix = "sha256:"
	// maxAPIKeys limits the comparisons per request: 25 µs for 1000 keys.
	maxAPIKeys = 1000
	// maxKeyFile is the size limit of a file of keys of any kind, in bytes.
	maxKeyFile = 1 << 20
)

// OpenAPIKeys reads a file of API keys, one key per line.
//
// A line has these fields, separated by spaces: the name, the hash (sha256: and 64 hex digits), and the
// filters of the subjects to publish to (or PresenceRight, AdminRight). Empty lines and lines that begin
// with # are ignored. NewAPIKey returns such lines. A file has at most 1000 keys and 1 MiB. Errors
// contain the file and the line number, but no text of the line.
func OpenAPIKeys(file string) (*APIKeys, error) {
	k := &APIKeys{file: file}
	if err := k.Reload(); err != nil {
		return nil, err
	}
	return k, nil
}

// Reload reads the file again. If it fails, the previous keys stay in use.
func (k *APIKeys) Reload() error {
	text, err := readFile(k.file)
	if err != nil {
		return fmt.Errorf("api keys: %w", err)
	}
	keys, err := parseAPIKeys(text)
	if err != nil {
		return fmt.Errorf("api keys: %s:%w", k.file, err)
	}
	k.keys.Store(&keys)
	return nil
}

func parseAPIKeys(text []byte) ([]apiKey, error) {
	var keys []apiKey
	names, hashes, n := make(map[string]int), make(map[[sha256.Size]byte]int), 0
	for line := range bytes.Lines(text) {
		n++
		fields := strings.Fields(string(line))
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		key, err := parseAPIKey(fields)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", n, err)
		}
		if before := max(names[key.name], hashes[key.hash]); before > 0 {
			return nil, fmt.Errorf("%d: same name or hash as in line %d", n, before)
		}
		names[key.name], hashes[key.hash] = n, n
		if keys = append(keys, key); len(keys) > maxAPIKeys {
			return nil, fmt.Errorf("%d: more than %d keys", n, maxAPIKeys)
		}
	}
	return keys, nil
}

var errKeyHash = errors.New("the second field must be " + hashPrefix + " and 64 hex digits, not the key itself; create a line with the command `tidemark token`")

func parseAPIKey(fields []string) (apiKey, error) {
	if len(fields) < 2 {
		return apiKey{}, errKeyHash
	}
	digits, ok := strings.CutPrefix(fields[1], hashPrefix)
	hash, err := hex.DecodeString(digits)
	if !ok || err != nil || len(hash) != sha256.Size {
		return apiKey{}, errKeyHash
	}
	if err := checkKeyLine(fields[0], fields[2:]); err != nil {
		return apiKey{}, err
	}
	key := apiKey{name: fields[0], hash: [sha256.Size]byte(hash), presence: slices.Contains(fields[2:], PresenceRight), admin: slices.Contains(fields[2:], AdminRight)}
	key.subjects = slices.DeleteFunc(fields[2:], isRight)
	return key, nil
}

// readFile reads a file of keys of at most maxKeyFile bytes.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("%s is larger than %d bytes; is it a file of keys?", name, maxKeyFile)
	}
	return text, nil
}
