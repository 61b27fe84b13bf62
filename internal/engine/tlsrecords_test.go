package engine_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// The content types of TLS records, and the types of handshake messages.
const (
	recordAlert       = 21
	recordHandshake   = 22
	recordApplication = 23

	messageClientHello = 1
	messageKeyUpdate   = 24
)

// recordClient is a client that encrypts its TLS records itself after the handshake, so that it can send any
// message. Received records are read through tls.
type recordClient struct {
	t        testing.TB
	tcp      *net.TCPConn
	tls      *tls.Conn
	isTLS12  bool
	secret   []byte // of TLS 1.3
	aead     cipher.AEAD
	iv       []byte
	sequence uint64
}

// wireLog records the bytes received by a client.
type wireLog struct {
	net.Conn
	mu       sync.Mutex
	received []byte
}

// Read implements net.Conn.
func (w *wireLog) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.received) < 1<<10 {
		w.received = append(w.received, b[:n]...)
	}
	return n, err
}

// dialRecords connects to addr with a small receive buffer.
func dialRecords(t testing.TB, addr string, version uint16) *recordClient {
	t.Helper()
	tcp, err := smallPeer().Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close() })
	_ = tcp.SetDeadline(time.Now().Add(waitTimeout))
	var keys bytes.Buffer
	wire := &wireLog{Conn: tcp}
	c := &recordClient{t: t, tcp: tcp.(*net.TCPConn), isTLS12: version == tls.VersionTLS12}
	c.tls = tls.Client(wire, &tls.Config{
		InsecureSkipVerify: true, MinVersion: version, MaxVersion: version, KeyLogWriter: &keys,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	})
	if err := c.tls.Handshake(); err != nil {
		t.Fatal(err)
	}
	switch c.tls.ConnectionState().CipherSuite {
	case tls.TLS_AES_128_GCM_SHA256:
		c.setSecret(loggedSecret(t, keys.String(), "CLIENT_TRAFFIC_SECRET_0", 2))
	case tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:
		c.setKeys12(keys.String(), wire.received)
	default:
		t.Skip("this processor prefers another cipher")
	}
	return c
}

// loggedSecret returns a field of the line with a label in a key log.
func loggedSecret(t testing.TB, log, label string, field int) []byte {
	t.Helper()
	for line := range strings.Lines(log) {
		if fields := strings.Fields(line); fields[0] == label {
			secret, err := hex.DecodeString(fields[field])
			if err != nil {
				t.Fatal(err)
			}
			return secret
		}
	}
	t.Fatalf("no %s in the key log", label)
	return nil
}

// setSecret derives the keys of TLS 1.3 (RFC 8446, section 7.3).
func (c *recordClient) setSecret(secret []byte) {
	c.secret, c.sequence = secret, 0
	c.setAEAD(c.expand("key", 16))
	c.iv = c.expand("iv", 12)
}

// expand is HKDF-Expand-Label.
func (c *recordClient) expand(label string, size int) []byte {
	label = "tls13 " + label
	info := append([]byte{byte(size >> 8), byte(size), byte(len(label))}, label...)
	key, err := hkdf.Expand(sha256.New, c.secret, string(append(info, 0)), size)
	if err != nil {
		c.t.Fatal(err)
	}
	return key
}

// setKeys12 derives the keys of TLS 1.2 (RFC 5246, section 6.3). The server's random is at the beginning of what
// the client has received.
func (c *recordClient) setKeys12(log string, received []byte) {
	const serverRandom = 5 + 4 + 2
	seed := append([]byte("key expansion"), received[serverRandom:serverRandom+32]...)
	seed = append(seed, loggedSecret(c.t, log, "CLIENT_RANDOM", 1)...)
	master := loggedSecret(c.t, log, "CLIENT_RANDOM", 2)
	sum := func(b []byte) []byte {
		h := hmac.New(sha256.New, master)
		_, _ = h.Write(b)
		return h.Sum(nil)
	}
	var block []byte
	for a := sum(seed); len(block) < 16+16+4; a = sum(a) {
		block = append(block, sum(append(bytes.Clone(a), seed...))...)
	}
	c.setAEAD(block[:16])
	c.iv, c.sequence = block[32:36], 1 // after Finished
}

func (c *recordClient) setAEAD(key []byte) {
	block, err := aes.NewCipher(key)
	if err == nil {
		c.aead, err = cipher.NewGCM(block)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// seal returns an encrypted record.
func (c *recordClient) seal(contentType byte, payload []byte) []byte {
	sequence := binary.BigEndian.AppendUint64(nil, c.sequence)
	c.sequence++
	if c.isTLS12 {
		head := []byte{contentType, 3, 3, 0, 0}
		binary.BigEndian.PutUint16(head[3:], uint16(len(payload)+8+16))
		additional := append(bytes.Clone(sequence), contentType, 3, 3, byte(len(payload)>>8), byte(len(payload)))
		return c.aead.Seal(append(head, sequence...), append(bytes.Clone(c.iv), sequence...), payload, additional)
	}
	head := []byte{recordApplication, 3, 3, 0, 0}
	binary.BigEndian.PutUint16(head[3:], uint16(len(payload)+1+16))
	nonce := bytes.Clone(c.iv)
	for i, b := range sequence {
		nonce[4+i] ^= b
	}
	return c.aead.Seal(head, nonce, append(bytes.Clone(payload), contentType), head)
}

// keyUpdate returns a KeyUpdate with a request for the server's, and renews the keys.
func (c *recordClient) keyUpdate() []byte {
	record := c.seal(recordHandshake, []byte{messageKeyUpdate, 0, 0, 1, 1})
	c.setSecret(c.expand("traffic upd", 32))
	return record
}

// send writes records. It returns false if the server accepts no more for a while, or has closed the connection.
func (c *recordClient) send(records []byte) bool {
	_ = c.tcp.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	_, err := c.tcp.Write(records)
	return err == nil
}
