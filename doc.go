// Package tidemark contains no code. It documents the packages of the module.
//
// Tidemark serves durable, replayable Server-Sent Events from NATS JetStream.
//
//   - cmd/tidemark is the server and its command line: go run ./cmd/tidemark serve --dev
//   - [github.com/tidemark/tidemark/pkg/tidemark] embeds a feed in your own program. The directory
//     examples has such programs. Its package tidemarktest is for your tests.
//   - [github.com/tidemark/tidemark/pkg/auth] identifies users, for embedding.
//   - [github.com/tidemark/tidemark/pkg/client] follows a feed from Go.
//   - [github.com/tidemark/tidemark/pkg/sse] encodes and decodes the wire format, with the standard
//     library alone.
//   - [github.com/tidemark/tidemark/pkg/web] has the client library for pages, as a handler.
//
// The packages below pkg have a stable interface. Other modules cannot import those below internal.
package tidemark
