package doctor

import (
	"errors"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
)

var errNoAddress = errors.New("the address of the embedded server is unknown")

// loginOfCommands describes the variables for the login of commands, and its required permissions.
const loginOfCommands = `NATS_USER and NATS_PASSWORD (or NATS_CREDS, NATS_NKEY) of a user in the account of the node that may publish [">"] and subscribe [">"]`

// embedded reports whether the node has its streams in the embedded server.
func (d *doctor) embedded() bool { return d.NATS.URL == "" }

// borrowed reports whether these checks use another login than the node.
func (d *doctor) borrowed() bool { return d.embedded() && d.Embedded.OwnLogin }

// refusedByEmbedded reports a connection that the embedded server rejects. The node connects in memory,
// without TLS, so only a login configured for the node can prevent its connection.
func (d *doctor) refusedByEmbedded(c *check, shown string, err error) {
	_, unreadable := errors.AsType[*os.PathError](err)
	login := d.Embedded.NATS
	has := login.CredsFile+login.NkeyFile+login.User+login.Password+login.Token != ""
	switch {
	case !d.Embedded.OwnLogin && has && (refusesLogin(err) || unreadable):
		c.problem(connectAdvice(err), "%s does not accept the login of this node: %v", shown, err)
	case has && (refusesLogin(err) || unreadable):
		c.warn(loginOfCommands, "%s does not accept the login of this command: %v; the node has its own login, through memory", shown, err)
	case refusesLogin(err):
		c.skip("%s requires a login, and this command has none; the node has its own login, through memory. To check the streams, set %s", shown, loginOfCommands)
	default:
		c.skip("%s does not accept this command: %v; the node uses the server through memory. For a server with TLS set NATS_CA, and NATS_CERT with NATS_KEY where it requires a certificate", shown, err)
	}
}

// refusesLogin reports whether err is the server's rejection of the login.
func refusesLogin(err error) bool {
	text := strings.ToLower(err.Error())
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrAuthRevoked) ||
		strings.Contains(text, "authorization violation") || strings.Contains(text, "authentication")
}

// unreadable reports a stream that the login of these checks cannot read, while the node has another
// login.
func unreadable(c *check, err error) {
	c.skip("the login of this command cannot read the stream: %v; the node has its own login. Set %s", err, loginOfCommands)
}
