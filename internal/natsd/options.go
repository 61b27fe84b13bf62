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

// DefaultAddr is where NATS clients connect where nothing names an address.
const DefaultAddr = "127.0.0.1:4222"

// Options say how the server runs. The zero value works, but for Dir.
type Options struct {
	// Addr is where NATS clients connect, as host:port. Where it is empty, the address of ConfigFile
	// counts, and DefaultAddr for what that leaves open. Port 0 picks a free one, which ClientURL
	// reports. Without ConfigFile and Users there is no authentication: an address that other
	// machines reach lets all of them read and publish everything.
	Addr string
	// Dir holds the streams. It is created when missing, and must not be on a file system
	// that loses writes which it has synced.
	Dir string
	// SyncInterval is how long an acknowledged message may wait until it is synced to the
	// disk; a loss of power loses what waits, a killed process loses nothing. Zero syncs
	// each message before it is acknowledged, which costs about two thirds of the
	// publishing rate (measured: 6.9k/s instead of 19k/s from one synchronous publisher).
	SyncInterval time.Duration
	// ServerName shows in monitoring and logs; when empty that of ConfigFile, else "tidemark".
	ServerName string
	// MaxPayload bounds a message, its headers included, in bytes; when zero that of ConfigFile, else
	// 1 MiB.
	MaxPayload int32

	// ConfigFile is a configuration file of nats-server. It is loaded first: the other options, and
	// what an embedded server needs, override its directives, each with a warning to Logger.
	ConfigFile string
	// Users may log in besides those of ConfigFile, in the account of the node. There is a login
	// for all clients then.
	Users []User
	// Account is the account of ConfigFile that InProcess logs in to. It is needed where that file has
	// accounts, unless NodeLogin is set.
	Account string
	// NodeLogin is for a node that has a login of its own, such as credentials: InProcess then
	// connects without one.
	NodeLogin bool
	// Insecure permits listeners of ConfigFile that other machines reach without a login.
	Insecure bool

	// Logger gets the server's messages: its notices at Debug, as they tell of every step
	// of a start, warnings and errors as such. Discarded when nil.
	Logger *slog.Logger
}

// resolved is what Options and their files say.
type resolved struct {
	*server.Options
	file  *configFile
	login *nodeLogin // nil where the node connects without one, or with its own
	// authBlock reports whether there is an authorization block, as nats-server counts it.
	authBlock bool
}

// Check reports what keeps a server with these options from starting, as far as the options and
// their files show. It neither listens nor looks at the store.
func (o Options) Check() error {
	_, err := o.resolve(nil)
	return err
}

// ClientAddr returns the address that clients of the same machine connect to, as Addr and
// ConfigFile name it. Port 0 is one that only the server knows.
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

// HasOwnLogin reports whether the node logs in with a key of its own, which works through memory alone.
// Other clients then need another login, or the file lets them in as a user whose permissions differ.
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

// resolve reads the file and puts everything else over it. A login that was made for an earlier
// start is used again.
func (o Options) resolve(login *nodeLogin) (*resolved, error) {
	if o.Dir == "" {
		return nil, errors.New("nats.embedded.dir: the embedded server needs a store directory")
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

// setAddr takes what Addr leaves open from the file. A port without a host is one of loopback: a
// server without a login must not be reached by mistake.
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
