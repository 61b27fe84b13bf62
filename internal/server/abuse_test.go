package server_test

import (
	"io"
	"net"
	"net/netip"
	"regexp"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/pkg/auth"
)

const gateway = "127.0.0.2"

// TestAbuse_KnownAttacks_LeakAndStoreNothing attacks nodes over real connections. After every attack no event of another
// user was delivered, nothing was stored, and a healthy client has all of its events.
func TestAbuse_KnownAttacks_LeakAndStoreNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the gateway connects from a second loopback address, which only Linux has")
	}
	gate, gateAttacks := gatewayNode(t)
	doors, doorAttacks := doorsNode(t)
	grants, grantAttacks := grantsNode(t)
	dev, devAttacks := devNode(t)
	total := 0
	nodes := []struct {
		name    string
		target  *target
		attacks []attack
		slow    *slow
	}{
		{"gateway", gate, gateAttacks, gate.slowSenders(t)},
		{"doors", doors, doorAttacks, doors.slowSenders(t)},
		{"grants", grants, grantAttacks, grants.slowSenders(t)},
		{"dev", dev, devAttacks, dev.slowSenders(t)},
	}
	for _, node := range nodes {
		t.Run(node.name, func(t *testing.T) {
			names := map[string]bool{}
			for _, a := range node.attacks {
				if names[a.name] {
					t.Errorf("two attacks have the name %q", a.name)
				}
				names[a.name] = true
				t.Run(a.name, func(t *testing.T) { node.target.run(t, a) })
			}
			total += len(node.attacks)
		})
	}
	for _, node := range nodes {
		t.Run("after "+node.name, func(t *testing.T) {
			node.slow.wait(t, node.target)
			node.target.unchanged(t, 0)
			node.target.probe()
			node.target.healthy(t)
			node.target.judgeLog(t)
		})
	}
	if t.Logf("%d attacks", total); total < 800 && !t.Failed() {
		t.Errorf("%d attacks, want 800 at least", total)
	}
}

// gatewayNode accepts tokens, and headers from a gateway. Publishing needs a key or a token.
func gatewayNode(t *testing.T) (*target, []attack) {
	key, line, err := auth.NewAPIKey("shop", "notifications.broadcast", "notifications.topic.shop")
	if err != nil {
		t.Fatal(err)
	}
	strange, _, _ := auth.NewAPIKey("strange", ">")
	g := newTarget(t, func(o *server.Options) {
		o.Auth.Identity = []string{"jwt", "header", "anonymous"}
		o.Auth.JWT = issuerOptions(t)
		o.HTTP.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(addressProxy + "/32")}
		o.Auth.Header = auth.HeaderOptions{
			Vars: map[string]string{"city": "X-City"}, Trusted: []netip.Prefix{netip.MustParsePrefix(gateway + "/32")},
		}
		o.Feeds[0].Subjects = append(o.Feeds[0].Subjects, templates(t, "notifications.home.{city}")...)
		o.Publish.KeysFile, o.Publish.ByToken = writeFile(t, []byte(line+"\n")), true
		o.Publish.MaxBytes, o.Publish.MaxBatch = 64<<10, 20
	}, "/events", "Authorization", "Bearer "+token(claims{"sub": "good"}))
	g.secret(key)
	g.secret(strange)
	attacks := g.tokenAttacks(t)
	attacks = append(attacks, headerAttacks()...)
	attacks = append(attacks, kinAttacks()...)
	attacks = append(attacks, g.grantAttacks()...)
	attacks = append(attacks, g.publishAttacks(key, strange)...)
	return g, attacks
}

// doorsNode accepts tokens in all places, and rejects requests without a token.
func doorsNode(t *testing.T) (*target, []attack) {
	g := newTarget(t, func(o *server.Options) {
		o.Auth.Identity = []string{"jwt"}
		o.Auth.JWT = issuerOptions(t)
		o.Auth.JWT.Cookie, o.Auth.JWT.Query = "tide", true
		o.Publish.ByToken = true
	}, "/events", "Cookie", "tide="+token(claims{"sub": "good"}))
	return g, append(append(g.doorAttacks(), foreignPolls()...), g.revokedAttacks(t)...)
}

// devNode is started as by the first command of the README.
func devNode(t *testing.T) (*target, []attack) {
	g := newTarget(t, func(*server.Options) {}, "/events?user=good")
	attacks := append(devAttacks(), subjectAttacks()...)
	attacks = append(attacks, g.resumeAttacks()...)
	attacks = append(attacks, untilEndAttacks()...)
	attacks = append(attacks, formAttacks()...)
	attacks = append(attacks, openPublishAttacks()...)
	return g, append(attacks, rawAttacks()...)
}

func issuerOptions(t *testing.T) auth.JWTOptions {
	return auth.JWTOptions{
		PublicKeyFile: writeFile(t, publicPEM()), Issuer: issuerName, Audience: []string{audience},
		Claims:     map[string]string{"user": "sub", "city": "address.city"},
		WidenClaim: "read", NarrowClaim: "only", PublishClaim: "publish",
	}
}

// slow are connections that never finish their request.
type slow struct {
	conns []net.Conn
	ended chan []byte // with all bytes of the node's answer
}

// slowSenders opens some slow connections while others are served.
func (g *target) slowSenders(t *testing.T) *slow {
	t.Helper()
	starts := []string{"", "G", "GET /events?user=ali", "GET /events HTTP/1.1\r\nHost: localhost\r\nX-", "POST /publish HTTP/1.1\r\nHost: localhost\r\n", "PRI * HTTP/2.0\r\n\r\n", "\r\n",
		"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n", "PUT /nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n",
		"POST /publish/notifications.topic.slow HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/event-stream\r\nContent-Length: 1000000\r\n\r\n",
		"POST /publish/notifications.topic.slow HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\ndata: ",
	}
	s := &slow{ended: make(chan []byte, len(starts)*4)}
	var writing sync.WaitGroup
	for i := range len(starts) * 4 {
		var d net.Dialer
		c, err := d.Dial("tcp", g.srv.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		s.conns = append(s.conns, c)
		_, _ = io.WriteString(c, starts[i%len(starts)])
		writing.Go(func() {
			for starts[i%len(starts)] != "" { // one of them sends nothing at all
				time.Sleep(300 * time.Millisecond)
				if _, err := io.WriteString(c, "a"); err != nil {
					return
				}
			}
		})
		writing.Go(func() {
			said, _ := io.ReadAll(c)
			s.ended <- said
			_ = c.Close()
		})
	}
	t.Cleanup(func() {
		for _, c := range s.conns {
			_ = c.Close()
		}
		writing.Wait()
	})
	return s
}

// wait checks that the node closed each connection, at most after an error response.
func (s *slow) wait(t *testing.T, g *target) {
	t.Helper()
	waitTimeout := time.After(14 * time.Second)
	for i := range s.conns {
		select {
		case said := <-s.ended:
			if len(said) > 0 && !slowRefusal.Match(said) {
				t.Errorf("a slow sender received %.300q", said)
			}
			g.judge(t, said)
		case <-waitTimeout:
			t.Fatalf("%d of %d slow senders are still connected", len(s.conns)-i, len(s.conns))
		}
	}
}

var slowRefusal = regexp.MustCompile(`^HTTP/1\.1 (400|401|404|408) `)
