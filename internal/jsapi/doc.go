// Package jsapi sends requests to the JetStream API and classifies their errors.
//
// It is for requests whose outcome decides what happens next: whether it may have been carried out
// ([Unclear]), and whether another attempt can succeed ([Permanent]). For everything else [New] returns
// the client of nats.go, with the same domain or prefix.
//
// Values of [Client] are safe for concurrent use. The connection and the watcher belong to the caller.
package jsapi
