package natsd

import (
	"os"
	"slices"
	"strings"
)

// SecretFiles returns the files with secrets: passwords, tokens, keys and credentials. It checks a
// configuration file with its included and referenced files. It ignores files with errors, which Start
// reports.
func SecretFiles(file string) []string {
	f, err := readConfigFile(file)
	if err != nil {
		return nil
	}
	files := make(map[string]bool)
	for _, d := range f.directives {
		value, ok := d.value.(string)
		if !ok || value == "" {
			continue
		}
		name := d.path[strings.LastIndexByte(d.path, '.')+1:]
		switch {
		case slices.Contains([]string{"key_file", "credentials", "creds"}, name), name == "nkey" && strings.HasPrefix(d.path, "leaf"):
			files[value] = true
		case isSecret(name, value) && contains(d.file, value):
			files[d.file] = true
		}
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func isSecret(name, value string) bool {
	if _, rest, ok := strings.Cut(value, "://"); ok {
		login, _, ok := strings.Cut(rest, "@")
		return ok && strings.Contains(login, ":")
	}
	return secretName(name)
}

// secretName reports whether a directive of this name, in lower case, has a secret for its value.
func secretName(name string) bool {
	return slices.Contains([]string{"pass", "password", "token", "key", "ek", "encryption_key", "prev_key", "prev_ek", "prev_encryption_key", "seed", "xkey"}, name)
}

// contains reports whether the file contains a value. It does not if the value comes from the environment.
func contains(file, value string) bool {
	text, err := os.ReadFile(file)
	return err == nil && strings.Contains(string(text), value)
}
