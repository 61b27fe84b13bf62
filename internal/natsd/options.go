package natsd

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// DefaultAddr is the address for NATS clients if none is configured.
const DefaultAddr = "127.0.0.1:4222"

// Options configures a server. Only Dir is required.
type Options struct {
	// Addr is the address for NATS clients, as host:port. If it is empty, the address of ConfigFile is
	// used, completed by DefaultAddr. Port 0 selects a free port, which ClientURL returns. Without
	// ConfigFile and Users there is no authentication: then all machines that reach the address can read
	// and publish all messages.
	Addr string
	// Dir is the directory of the streams. It is created if it does not exist. Its file system must not
	// lose synced writes.
	Dir string
	// SyncInterval is the time after which acknowledged messages are synced to the disk. A power failure
	// loses messages that are not synced; a killed process loses none. Zero syncs each message before its
	// acknowledgement, at about a third of the publish rate (measured with one synchronous publisher:
	// 6.9k/s instead of 19k/s).
	SyncInterval time.Duration
	// ServerName appears in monitoring and logs; if empty, the name in ConfigFile or else "tidemark".
	ServerName string
	// MaxPayload is the maximum size of a message including its headers, in bytes; if zero, the value in
	// ConfigFile or else 1 MiB.
	MaxPayload int32

	// ConfigFile is a configuration file of nats-server. The other options and the requirements of an
	// embedded server override its directives, each with a warning to Logger.
	ConfigFile string
	// Users are added to the users of ConfigFile, in the account of the node. With users, all clients
	// require a login.
	Users []User
	// Account is the account of ConfigFile for InProcess. It is required if the file has accounts, unless
	// NodeLogin is set.
	Account string
	// NodeLogin means that the node has its own login, such as credentials. InProcess then connects
	// without a login.
	NodeLogin bool
	// Insecure permits listeners of ConfigFile that other machines reach without a login.
	Insecure bool

	// Logger receives the server's messages: notices at level Debug, because they report every step of a
	// start, warnings and errors at their own level. nil discards them.
	Logger *slog.Logger
}

// resolved contains the options and the contents of their files.
type resolved struct {
	*server.Options
	file  *configFile
	login *nodeLogin // nil if the node connects without a login, or with its own
	// authBlock reports whether there is an authorization block, by the rules of nats-server.
	authBlock bool
}

// Check returns an error if a server with these options cannot start. It checks the options and their
// files, but neither the address nor the store.
func (o Options) Check() error {
	_, err := o.resolve(nil)
	return err
}

// ClientAddr returns the address for clients of the same machine, according to Addr and ConfigFile.
// Port 0 means that the port is selected at the start.
func (o Options) ClientAddr() (string, error) {
	if o.Addr != "" {
		return o.Addr, nil
	}
	so, err := o.readFile()
	if err != nil {
		return "", err
	}
	if err := o.setAddr(so.Options); err != nil {
		return "", err
	}
	return hostPort(so.Options), nil
}

// HasOwnLogin reports whether the node logs in with its own key. The key is accepted in memory only.
// Other clients then need another login, or the file assigns them a user with other permissions.
func (o Options) HasOwnLogin() (bool, error) {
	so, err := o.resolve(nil)
	if err != nil {
		return false, err
	}
	return so.login != nil, nil
}

func (o Options) readFile() (*resolved, error) {
	file, err := readConfigFile(o.ConfigFile)
	if err != nil {
		return nil, err
	}
	return &resolved{Options: file.options, file: file, authBlock: file.has("authorization")}, nil
}

// resolve reads the file and applies the options. It reuses the node's login of an earlier start.
func (o Options) resolve(login *nodeLogin) (*resolved, error) {
	if o.Dir == "" {
		return nil, errors.New("nats.embedded.dir: it is empty; set the store directory of the embedded server")
	}
	if o.SyncInterval < 0 {
		return nil, fmt.Errorf("nats.embedded.sync: the interval %s is negative", o.SyncInterval)
	}
	so, err := o.readFile()
	if err != nil {
		return nil, err
	}
	so.login = login
	if err := o.override(so); err != nil {
		return nil, err
	}
	if err := o.addLogins(so); err != nil {
		return nil, err
	}
	if err := o.checkExposure(so); err != nil {
		return nil, err
	}
	return so, nil
}

// setAddr sets the address from Addr or the file. A port without a host listens on loopback, so that a
// server without a login is not exposed by mistake.
func (o Options) setAddr(so *server.Options) error {
	if o.Addr != "" {
		host, port, err := splitAddr(o.Addr)
		so.Host, so.Port = host, port
		return err
	}
	host, port, err := splitAddr(DefaultAddr)
	if so.Host == "" {
		so.Host = host
	}
	if so.Port == 0 {
		so.Port = port
	}
	return err
}

func splitAddr(addr string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(addr)
	if err == nil {
		port, err = strconv.Atoi(p)
	}
	if err != nil || port < -1 || port > 65535 {
		return "", 0, fmt.Errorf("nats.embedded.addr: %q is not host:port with a port from 0 to 65535", addr)
	}
	if port <= 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

func hostPort(so *server.Options) string {
	return net.JoinHostPort(so.Host, strconv.Itoa(max(so.Port, 0)))
}
