// Package web holds what browsers load from a node: the client library, whose source and
// documentation are in the directory client.
//
// Its handlers are plain http.Handlers over content that is embedded. They take GET and HEAD,
// answer from memory, do not block, and hold no goroutine.
package web
