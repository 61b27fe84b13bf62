// Package web serves the files for browsers: the client library and the console.
//
// Use it to serve the library from your own server:
//
//	mux.Handle("/client.js", web.Client())
//
// The source and the documentation of the library are in the directory client. The handlers serve
// embedded content from memory, for GET and HEAD. They do not block and start no goroutines.
package web
