package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testkit"
)

// embedding returns the options of a node with an embedded server, configured by a file, and its URL for clients.
func embedding(t *testing.T, conf string, change func(*server.Options)) (opts server.Options, url string) {
	t.Helper()
	addr, err := testkit.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	opts = options(t, "")
	opts.Embedded.Dir, opts.Embedded.Addr = t.TempDir(), addr
	opts.Embedded.ConfigFile = filepath.Join(t.TempDir(), "nats.conf")
	writeText(t, opts.Embedded.ConfigFile, conf)
	if change != nil {
		change(&opts)
	}
	return opts, "nats://" + addr
}

func writeText(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// producer connects r.js with a login, as a producer on another machine would.
func (r *harness) producer(url string, login ...nats.Option) {
	r.t.Helper()
	nc, err := nats.Connect(url, login...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(nc.Close)
	r.useConn(nc)
}

// refuses fails the test where a login is accepted.
func refuses(t *testing.T, url, what string, login ...nats.Option) {
	t.Helper()
	nc, err := nats.Connect(url, login...)
	if err == nil {
		nc.Close()
		t.Errorf("%s is let in", what)
	}
}

// operator signs accounts, and accounts sign users.
type operator struct {
	t   *testing.T
	key nkeys.KeyPair
	jwt string
}

func makeKey(t *testing.T, create func() (nkeys.KeyPair, error)) (nkeys.KeyPair, string) {
	t.Helper()
	key, err := create()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return key, public
}

func newOperator(t *testing.T) *operator {
	t.Helper()
	o := &operator{t: t}
	key, public := makeKey(t, nkeys.CreateOperator)
	claims := jwt.NewOperatorClaims(public)
	o.key, o.jwt = key, o.encode(claims, key)
	return o
}

func (o *operator) encode(claims jwt.Claims, key nkeys.KeyPair) string {
	o.t.Helper()
	text, err := claims.Encode(key)
	if err != nil {
		o.t.Fatal(err)
	}
	return text
}

func (o *operator) account(name string, stores bool) (key nkeys.KeyPair, public, text string) {
	o.t.Helper()
	key, public = makeKey(o.t, nkeys.CreateAccount)
	claims := jwt.NewAccountClaims(public)
	claims.Name = name
	if stores {
		claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	}
	return key, public, o.encode(claims, o.key)
}

// user writes a .creds file.
func (o *operator) user(account nkeys.KeyPair) (creds string) {
	o.t.Helper()
	key, public := makeKey(o.t, nkeys.CreateUser)
	seed, err := key.Seed()
	if err != nil {
		o.t.Fatal(err)
	}
	text, err := jwt.FormatUserConfig(o.encode(jwt.NewUserClaims(public), account), seed)
	if err != nil {
		o.t.Fatal(err)
	}
	creds = filepath.Join(o.t.TempDir(), "user.creds")
	writeText(o.t, creds, string(text))
	return creds
}

func TestEmbedded_OperatorMode_NodeUsesItsCredentials(t *testing.T) {
	o := newOperator(t)
	_, sys, sysJWT := o.account("SYS", false)
	app, appID, appJWT := o.account("APP", true)
	other, otherID, otherJWT := o.account("OTHER", true)
	conf := fmt.Sprintf("operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload { %s: %s, %s: %s, %s: %s }",
		o.jwt, sys, sys, sysJWT, appID, appJWT, otherID, otherJWT)
	opts, url := embedding(t, conf, func(opts *server.Options) { opts.NATS.CredsFile = o.user(app) })
	r := startNode(t, opts)
	r.awaitReady()
	r.producer(url, nats.UserCredentials(o.user(app)))
	l := r.listen(me, "")
	l.want("tidemark.open")
	r.publish("notifications.user.42", 1, 3)
	l.wantNumbers(1, 3)
	refuses(t, url, "a client without credentials")
	stranger := newOperator(t)
	account, _, _ := stranger.account("APP", true)
	refuses(t, url, "a user of another operator", nats.UserCredentials(stranger.user(account)))

	// Only the account of the node has the streams.
	r.producer(url, nats.UserCredentials(o.user(other)))
	for name := range r.js.StreamNames(t.Context()).Name() {
		t.Errorf("another account has the stream %s", name)
	}
	if err := r.srv.Reload(t.Context()); err != nil {
		t.Errorf("reload: %v", err)
	}
	r.producer(url, nats.UserCredentials(o.user(app)))
	r.publish("notifications.user.42", 4, 5)
	l.wantNumbers(4, 5)
}

// A resolver may store accounts after the server has started: the node waits for its own account.
func TestEmbedded_OperatorMode_AccountComesLater(t *testing.T) {
	o := newOperator(t)
	sys, sysID, sysJWT := o.account("SYS", false)
	app, appID, appJWT := o.account("APP", true)
	conf := fmt.Sprintf("operator: %s\nsystem_account: %s\nresolver { type: full, dir: %q }\nresolver_preload { %s: %s }",
		o.jwt, sysID, t.TempDir(), sysID, sysJWT)
	opts, url := embedding(t, conf, func(opts *server.Options) { opts.NATS.CredsFile = o.user(app) })
	r := startNode(t, opts)
	if status := r.status("/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("without its account the node answers %d at /readyz", status)
	}
	nc, err := nats.Connect(url, nats.UserCredentials(o.user(sys)))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Request("$SYS.REQ.ACCOUNT."+appID+".CLAIMS.UPDATE", []byte(appJWT), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	r.awaitReady()
	r.producer(url, nats.UserCredentials(o.user(app)))
	l := r.listen(me, "")
	l.want("tidemark.open")
	r.publish("notifications.user.42", 1, 2)
	l.wantNumbers(1, 2)
}

func TestEmbedded_NodeCannotLogIn_NamesKey(t *testing.T) {
	o := newOperator(t)
	const accounts = "accounts { A { users: [ {user: a, password: p} ] }, B { jetstream: enabled, users: [ {user: b, password: p} ] } }"
	for name, c := range map[string]struct {
		conf   string
		change func(*server.Options)
		want   []string
	}{
		"wrong password":           {accounts, func(o *server.Options) { o.NATS.User, o.NATS.Password = "b", "wrong" }, []string{"nats.embedded.config", "(nats.user)", "Authorization"}},
		"unknown user":             {accounts, func(o *server.Options) { o.NATS.User, o.NATS.Password = "c", "p" }, []string{"(nats.user)"}},
		"token":                    {accounts, func(o *server.Options) { o.NATS.Token = "p" }, []string{"(nats.token)"}},
		"account, no JetStream":    {accounts, func(o *server.Options) { o.Embedded.Account = "A" }, []string{"(nats.embedded.account)", "jetstream: enabled"}},
		"user, no JetStream":       {accounts, func(o *server.Options) { o.NATS.User, o.NATS.Password = "a", "p" }, []string{"(nats.user)", "jetstream: enabled"}},
		"operator, no credentials": {"operator: " + o.jwt, nil, []string{"nats.credentials: ", "operator"}},
	} {
		t.Run(name, func(t *testing.T) {
			opts, _ := embedding(t, c.conf, c.change)
			srv, err := server.New(t.Context(), opts)
			if err == nil {
				_ = srv.Run(closedContext())
				t.Fatal("it started")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want %q", err, want)
				}
			}
		})
	}
}

func closedContext() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestEmbedded_TLS_ProducerChecksCertificateAndReloadRenewsIt(t *testing.T) {
	cert, key, _ := selfSigned(t)
	conf := func(cert, key string) string {
		return fmt.Sprintf("tls { cert_file: %q, key_file: %q }\nauthorization { users: [ {user: orders, password: p} ] }", cert, key)
	}
	opts, url := embedding(t, conf(cert, key), nil)
	r := startNode(t, opts)
	r.awaitReady()
	login := nats.UserInfo("orders", "p")
	r.producer(url, login, nats.RootCAs(cert))
	l := r.listen(me, "")
	l.want("tidemark.open")
	r.publish("notifications.user.42", 1, 3)
	l.wantNumbers(1, 3)
	refuses(t, url, "a wrong password over TLS", nats.UserInfo("orders", "q"), nats.RootCAs(cert))
	if _, err := nats.Connect(url, login); !errors.As(err, new(*tls.CertificateVerificationError)) && !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("a producer without the authority: %v", err)
	}

	renewed, renewedKey, _ := selfSigned(t)
	writeText(t, opts.Embedded.ConfigFile, conf(renewed, renewedKey))
	if err := r.srv.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := nats.Connect(url, login, nats.RootCAs(cert)); err == nil {
		t.Error("the old certificate is still in use")
	}
	r.publish("notifications.user.42", 4, 4) // the connection from before the reload still works
	r.producer(url, login, nats.RootCAs(renewed))
	r.publish("notifications.user.42", 5, 6)
	l.wantNumbers(4, 6)
}

// cluster runs three servers with the JetStream domain hub, which accept leaf nodes with a login.
func cluster(t *testing.T) (servers []*natsserver.Server, leafURLs []string) {
	t.Helper()
	ports, err := testkit.FreePorts(6)
	if err != nil {
		t.Fatal(err)
	}
	var routes []*url.URL
	for _, port := range ports[:3] {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprint("127.0.0.1:", port)})
	}
	for i, port := range ports[3:] {
		opts := startedLater(t, fmt.Sprint("hub-", i))
		opts.Cluster = natsserver.ClusterOpts{Name: "hub", Host: "127.0.0.1", Port: ports[i]}
		opts.Routes = routes
		opts.LeafNode = natsserver.LeafNodeOpts{Host: "127.0.0.1", Port: port, Username: "edge", Password: "leaf"}
		servers = append(servers, runNATS(t, opts))
		leafURLs = append(leafURLs, fmt.Sprintf("nats://edge:leaf@127.0.0.1:%d", port))
	}
	testkit.Eventually(t, 30*time.Second, "a leader of the cluster's JetStream", func() bool {
		return slices.ContainsFunc(servers, func(s *natsserver.Server) bool { return s.JetStreamIsLeader() })
	})
	return servers, leafURLs
}

func startedLater(t *testing.T, name string) *natsserver.Options {
	return &natsserver.Options{
		ServerName: name, Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, JetStreamDomain: "hub", StoreDir: t.TempDir(),
	}
}

func leafConf(urls []string) string {
	return fmt.Sprintf("server_name: edge\njetstream { domain: edge }\nleafnodes { reconnect: 1, remotes: [ { urls: [ '%s' ] } ] }", strings.Join(urls, "', '"))
}

// A producer at the cluster stores events in the embedded server, which has a domain of its own. This works also
// after the leaf node has lost its server of the cluster.
func TestEmbedded_LeafOfCluster_ReceivesFromCluster(t *testing.T) {
	hub, urls := cluster(t)
	opts, url := embedding(t, leafConf(urls), nil)
	r := startNode(t, opts)
	r.awaitReady()
	r.eventually("a leaf node at the cluster", func() bool { return leafHost(hub) != nil })
	l := r.listen(me, "")
	l.want("tidemark.open")
	r.producer(url)
	r.publish("notifications.user.42", 1, 2)
	r.producer(hub[0].ClientURL())
	r.eventually("interest in the subject at the cluster", func() bool {
		_, err := r.js.Publish(t.Context(), "notifications.user.42", []byte("3"), jetstream.WithMsgID("3"))
		return err == nil
	})
	r.publish("notifications.user.42", 4, 5)
	l.wantNumbers(1, 5)
	if got := streamsOf(t, hub[0]); len(got) > 0 {
		t.Errorf("the cluster has the streams %q", got)
	}

	lost := leafHost(hub)
	lost.Shutdown()
	lost.WaitForShutdown()
	left := slices.DeleteFunc(slices.Clone(hub), func(s *natsserver.Server) bool { return s == lost })
	r.eventually("the leaf node at another server", func() bool { return leafHost(left) != nil })
	r.producer(left[0].ClientURL())
	r.eventually("interest in the subject again", func() bool {
		_, err := r.js.Publish(t.Context(), "notifications.user.42", []byte("6"), jetstream.WithMsgID("6"))
		return err == nil
	})
	l.wantNumbers(6, 6)
}

// leafHost returns the server of the cluster that has the leaf node.
func leafHost(servers []*natsserver.Server) *natsserver.Server {
	for _, s := range servers {
		if s.NumLeafNodes() > 0 {
			return s
		}
	}
	return nil
}

// With nats.domain the embedded server only connects to the cluster, which has the streams.
func TestEmbedded_LeafOfCluster_UsesStreamsOfCluster(t *testing.T) {
	hub, urls := cluster(t)
	opts, url := embedding(t, leafConf(urls), func(o *server.Options) {
		o.Domain = "hub"
		o.Streams[0].Replicas = 3
	})
	r := startNode(t, opts)
	r.awaitReady()
	l := r.listen(me, "")
	l.want("tidemark.open")
	r.producer(hub[1].ClientURL())
	r.publish("notifications.user.42", 1, 3)
	r.producer(url)
	r.publish("notifications.user.42", 4, 5)
	l.wantNumbers(1, 5)
	if got := streamsOf(t, hub[0]); !slices.Contains(got, "NOTIFICATIONS") {
		t.Errorf("the cluster has the streams %q", got)
	}
}
