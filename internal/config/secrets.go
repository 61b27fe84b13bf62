package config

import (
	"fmt"
	"os"
	"runtime"
)

// SecretFiles are the files with secrets that the configuration names, by key.
func (c Config) SecretFiles() map[string]string {
	files := map[string]string{
		"http.tls.key": c.HTTP.TLS.Key, "publish.keys": c.Publish.Keys,
		"auth.jwt.secret_file": c.Auth.JWT.SecretFile, "log.users_key": c.Log.UsersKey, "auth.tag_key": c.Auth.TagKey,
		"nats.credentials": c.NATS.Credentials, "nats.nkey": c.NATS.NKey, "nats.tls.key": c.NATS.TLS.Key,
	}
	if len(c.NATS.Embedded.Users) > 0 {
		files[usersKey] = c.NATS.Source.UsersFile
	}
	for key, file := range files {
		if file == "" {
			delete(files, key)
		}
	}
	return files
}

// CheckSecretFile returns an error where every user of the machine can read a file with a secret.
// It reports neither a file that is missing, which its reader does, nor anything on Windows, whose
// files have no such mode.
func CheckSecretFile(key, file string) error {
	info, err := os.Stat(file)
	if err != nil || runtime.GOOS == "windows" || info.Mode().Perm()&0o004 == 0 {
		return nil //nolint:nilerr // see above
	}
	return fmt.Errorf("%s: every user of this machine can read %s (mode %04o); chmod o-rwx it", key, file, info.Mode().Perm())
}
