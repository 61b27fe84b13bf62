package config

import (
	"fmt"
	"os"
	"runtime"
)

// SecretFiles returns the configured files with secrets, by key. It omits http.tls.ticket_keys, whose reader rejects a
// file that others can read.
func (c Config) SecretFiles() map[string]string {
	files := make(map[string]string)
	for _, k := range configKeys.scalars() {
		if file := text(k.field(&c)); k.secret == tagFile && file != "" && k.name != "http.tls.ticket_keys" {
			files[k.name] = file
		}
	}
	if c.NATS.Source.UsersFile != "" {
		files[usersKey] = c.NATS.Source.UsersFile
	}
	return files
}

// CheckSecretFile returns an error if every user of the machine can read a file with a secret. It does not
// report a missing file, which its reader reports, and nothing on Windows, whose files have no such mode.
func CheckSecretFile(key, file string) error {
	info, err := os.Stat(file)
	if err != nil || runtime.GOOS == "windows" || info.Mode().Perm()&0o004 == 0 {
		return nil //nolint:nilerr // the reader of the file reports it
	}
	return fmt.Errorf("%s: every user of this machine can read %s (mode %04o); chmod o-rwx it", key, file, info.Mode().Perm())
}
