// Package tlsconfig makes the TLS configuration of a listener, and renews it while the listener runs.
//
// Use it for a listener that serves HTTP/2 and HTTP/1.1:
//
//	t, err := tlsconfig.Open(tlsconfig.Options{CertFile: "cert.pem", KeyFile: "key.pem"})
//	...
//	srv := &http.Server{TLSConfig: t.Config()}
//	go srv.ServeTLS(listener, "", "")
//	...
//	err = t.Reload() // the files were renewed
//
// Guarantees:
//
//   - Protocols. Clients need TLS 1.2 or 1.3, and with TLS 1.2 a suite with forward secrecy and authenticated
//     encryption. crypto/tls refuses renegotiation.
//   - Renewal. New handshakes use the files that the last successful Reload has read. Sockets that are open, and
//     handshakes that have begun, are not affected.
//   - Independence. A file that cannot be used does not prevent the renewal of the other ones, and its previous
//     content stays in use.
//
// Errors name the configuration keys of a node, because operators read them.
//
// How it works inside: [http.Server.ServeTLS] clones its configuration, and a clone does not receive ticket keys that
// are set later. With a file of ticket keys, the GetConfigForClient of the configuration and of all its clones therefore
// returns the one configuration whose keys Reload sets.
package tlsconfig
