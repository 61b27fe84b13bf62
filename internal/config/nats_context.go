package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// SelectedContext as nats.context is the context selected by `nats context select`.
const SelectedContext = "selected"

// natsContext has the fields of a context file of the nats command that Tidemark uses.
type natsContext struct {
	URL         string `json:"url"`
	User        string `json:"user"`
	Password    string `json:"password"`
	Token       string `json:"token"`
	Creds       string `json:"creds"`
	NKey        string `json:"nkey"`
	CA          string `json:"ca"`
	Cert        string `json:"cert"`
	Key         string `json:"key"`
	Domain      string `json:"jetstream_domain"`
	APIPrefix   string `json:"jetstream_api_prefix"`
	InboxPrefix string `json:"inbox_prefix"`
	TLSFirst    bool   `json:"tls_first"`

	unsupported
}

// unsupported are fields that change the connection and that Tidemark cannot apply.
type unsupported struct {
	NSC        string `json:"nsc"`
	SocksProxy string `json:"socks_proxy"`
	UserJWT    string `json:"user_jwt"`
	UserSeed   string `json:"user_seed"`
	CertStore  string `json:"windows_cert_store"`
}

func (u unsupported) check() error {
	for _, f := range []struct{ name, value string }{
		{"nsc", u.NSC}, {"socks_proxy", u.SocksProxy}, {"user_jwt", u.UserJWT}, {"user_seed", u.UserSeed}, {"windows_cert_store", u.CertStore},
	} {
		if f.value != "" {
			return fmt.Errorf("its field %s is not supported; set nats.url and a login instead of the context", f.name)
		}
	}
	return nil
}

// readContext reads a context by its name from the directory of the nats command.
func readContext(name string, env variables) (NATS, error) {
	dir, err := env.natsDir()
	if err != nil {
		return NATS{}, err
	}
	if name == SelectedContext {
		if name, err = selectedContext(dir); err != nil {
			return NATS{}, err
		}
	}
	if name == "" || strings.Contains(name, "..") || strings.ContainsAny(name, `/\`) {
		return NATS{}, fmt.Errorf("%q is not the name of a context; `nats context ls` shows them", name)
	}
	file := filepath.Join(dir, "context", name+".json")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return NATS{}, fmt.Errorf("there is no context %q in %s; `nats context ls` shows them", name, filepath.Dir(file))
	}
	if err != nil {
		return NATS{}, fmt.Errorf("context %s: %w", name, err)
	}
	var c natsContext
	if err := json.Unmarshal(text, &c); err != nil {
		return NATS{}, fmt.Errorf("context %s: %s does not have the format of the nats command: %w", name, file, err)
	}
	if err := c.check(); err != nil {
		return NATS{}, fmt.Errorf("context %s: %w", name, err)
	}
	return c.settings(env), nil
}

// defaultNATS is the server of a context that names none, as for the nats command.
const defaultNATS = "nats://127.0.0.1:4222"

func (c natsContext) settings(env variables) NATS {
	n := NATS{
		URL: c.URL, User: c.User, Password: c.Password, Token: c.Token,
		Credentials: env.path(os.Expand(c.Creds, env.get)), NKey: env.path(c.NKey),
		Domain: c.Domain, APIPrefix: c.APIPrefix, InboxPrefix: c.InboxPrefix,
		TLS: NATSTLS{CA: env.path(c.CA), ClientCert: ClientCert{Cert: env.path(c.Cert), Key: env.path(c.Key)}, HandshakeFirst: c.TLSFirst},
	}
	if n.URL == "" {
		n.URL = defaultNATS
	}
	return n
}

func selectedContext(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "context.txt"))
	name := strings.TrimSpace(string(text))
	if errors.Is(err, fs.ErrNotExist) || err == nil && name == "" {
		return "", errors.New("no context is selected; name one, or choose one with `nats context select`")
	}
	return name, err
}

// natsDir returns the directory of the nats command.
func (v variables) natsDir() (string, error) {
	if dir := v.get("XDG_CONFIG_HOME"); dir != "" {
		return filepath.Join(dir, "nats"), nil
	}
	home := v.home()
	if home == "" {
		return "", errors.New("the directory of the contexts of the nats command is unknown; set XDG_CONFIG_HOME or HOME")
	}
	return filepath.Join(home, ".config", "nats"), nil
}

func (v variables) home() string {
	if home := v.get("HOME"); home != "" {
		return home
	}
	home, _ := os.UserHomeDir() // callers handle "" as unknown
	return home
}

// path expands ~ at the beginning of a file name to the home directory.
func (v variables) path(name string) string {
	if rest, ok := strings.CutPrefix(name, "~"); ok && v.home() != "" {
		return v.home() + rest
	}
	return name
}
