package natsd_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/testkit"
)

// stranger connects to a listener as user a without a password. It reports whether the server accepts it.
type stranger func(t *testing.T, addr string) bool

// sends is a stranger with the protocol of clients, routes, gateways and leafnodes. The server answers a
// rejected login with an error, and then closes the connection.
func sends(connect string) stranger {
	return func(t *testing.T, addr string) bool {
		t.Helper()
		answer := exchange(t, addr, "CONNECT "+connect+"\r\nPING\r\n", "Authorization Violation", "PONG")
		return !strings.Contains(answer, "Authorization Violation")
	}
}

// exchange sends a message. It returns the received text until that contains one of the texts, or the
// connection ends.
func exchange(t *testing.T, addr, message string, until ...string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := errors.Join(conn.SetDeadline(time.Now().Add(waitTimeout)), send(conn, message)); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		got.Write(buf[:n])
		for _, text := range until {
			if strings.Contains(got.String(), text) {
				return got.String()
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("no answer but %q", got.String())
		}
		if err != nil {
			return got.String()
		}
	}
}

func send(conn net.Conn, message string) error {
	_, err := conn.Write([]byte(message))
	return err
}

// byWebsocket treats every error as a rejection, because the server may close the socket early.
func byWebsocket(_ *testing.T, addr string) bool {
	for _, login := range [][]nats.Option{nil, {nats.UserInfo("a", "")}} {
		if nc, err := nats.Connect("ws://"+addr, login...); err == nil {
			nc.Close()
			return true
		}
	}
	return false
}

// byMQTT sends CONNECT of MQTT 3.1.1 with the user a and an empty password. The last byte of the answer is
// 0 if it is accepted.
func byMQTT(t *testing.T, addr string) bool {
	const connect = "\x10\x12\x00\x04MQTT\x04\xc2\x00\x3c\x00\x01c\x00\x01a\x00\x00"
	answer := exchange(t, addr, connect, "\x20\x02\x00\x00", "\x20\x02\x00\x05")
	return answer == "\x20\x02\x00\x00"
}

// All listeners with their own login, without a password and with one.
func TestReach_LoginsWithoutSecret_RefusedAsServerLetsThemIn(t *testing.T) {
	const login = "authorization { user: b, password: p }\n"
	// JetStream of a gateway requires a cluster.
	const single = "cluster { name: g, listen: '127.0.0.1:-1', routes: ['nats://127.0.0.1:1'] }\n"
	leaf := sends(`{"user":"a","pass":"","name":"l","verbose":false}`)
	route := sends(`{"user":"a","pass":"","name":"r","cluster":"c","verbose":false}`)
	gateway := sends(`{"user":"a","pass":"","name":"g2","gateway":"g2","verbose":false}`)
	for _, c := range []struct {
		conf string // with ADDR in place of the address of the listener
		in   stranger
		open bool
	}{
		{login + "leafnodes { listen: 'ADDR' }", leaf, false},
		{login + "leafnodes { listen: 'ADDR', authorization { user: a } }", leaf, true},
		{login + "leafnodes { listen: 'ADDR', authorization { user: a, password: p } }", leaf, false},
		{login + "leafnodes { listen: 'ADDR', authorization { users: [ {user: a} ] } }", leaf, true},
		{login + "leafnodes { listen: 'ADDR', authorization { users: [ {user: b, password: p}, {user: a, password: ''} ] } }", leaf, true},
		{login + "leafnodes { listen: 'ADDR', authorization { users: [ {user: a, password: p} ] } }", leaf, false},
		{login + "leafnodes { listen: 'ADDR', authorization { users: [] } }", leaf, false},
		{login + "leafnodes { listen: 'ADDR', authorization { nkey: UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4 } }", leaf, false},
		{"leafnodes { listen: 'ADDR', authorization { user: a, password: p } }", leaf, false},
		{"authorization { user: a }\nleafnodes { listen: 'ADDR' }", leaf, true},
		{login + "cluster { name: c, listen: 'ADDR', routes: ['nats://127.0.0.1:1'] }", route, true},
		{login + "cluster { name: c, listen: 'ADDR', routes: ['nats://127.0.0.1:1'], authorization { user: a } }", route, true},
		{login + "cluster { name: c, listen: 'ADDR', routes: ['nats://127.0.0.1:1'], authorization { user: a, password: p } }", route, false},
		{login + single + "gateway { name: g, listen: 'ADDR' }", gateway, true},
		{login + single + "gateway { name: g, listen: 'ADDR', authorization { user: a } }", gateway, true},
		{login + single + "gateway { name: g, listen: 'ADDR', authorization { user: a, password: p } }", gateway, false},
		{"websocket { listen: 'ADDR', no_tls: true }", byWebsocket, true},
		{"websocket { listen: 'ADDR', no_tls: true, authorization { user: a } }", byWebsocket, true},
		{"websocket { listen: 'ADDR', no_tls: true, authorization { user: a, password: p } }", byWebsocket, false},
		{"websocket { listen: 'ADDR', no_tls: true, authorization { token: p } }", byWebsocket, false},
		{"authorization { user: a }\nwebsocket { listen: 'ADDR', no_tls: true }", byWebsocket, true},
		{login + "websocket { listen: 'ADDR', no_tls: true }", byWebsocket, false},
		{"server_name: m\nmqtt { listen: 'ADDR' }", byMQTT, true},
		{"server_name: m\nmqtt { listen: 'ADDR', authorization { user: a } }", byMQTT, true},
		{"server_name: m\nmqtt { listen: 'ADDR', authorization { user: a, password: p } }", byMQTT, false},
		{"server_name: m\nauthorization { user: a }\nmqtt { listen: 'ADDR' }", byMQTT, true},
		{"server_name: m\n" + login + "mqtt { listen: 'ADDR' }", byMQTT, false},
	} {
		t.Run(strings.ReplaceAll(c.conf, "\n", ", "), func(t *testing.T) {
			addr, err := testkit.FreeAddr()
			if err != nil {
				t.Fatal(err)
			}
			start(t, natsd.Options{Dir: t.TempDir(), ConfigFile: writeFile(t, strings.ReplaceAll(c.conf, "ADDR", addr))})
			if got := c.in(t, addr); got != c.open {
				t.Errorf("a stranger is let in: %t, want %t", got, c.open)
			}
			_, port, _ := net.SplitHostPort(addr)
			opts := natsd.Options{Dir: t.TempDir(), Addr: "127.0.0.1:0", ConfigFile: writeFile(t, strings.ReplaceAll(c.conf, "ADDR", fmt.Sprint("0.0.0.0:", port)))}
			if err := opts.Check(); (err != nil) != c.open || err != nil && !strings.Contains(err.Error(), "no login with a secret") {
				t.Errorf("beyond loopback: %v, want refused %t", err, c.open)
			}
		})
	}
}
