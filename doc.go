// Package tidemark has no code: it is the root of the module, and says where to find it.
//
// Tidemark serves durable, replayable Server-Sent Events from NATS JetStream.
//
//   - cmd/tidemark is the server and its command line: go run ./cmd/tidemark serve --dev
//   - [github.com/tidemark/tidemark/pkg/tidemark] embeds a feed in your own program; examples has
//     programs that do. Its tidemarktest is for your tests.
//   - [github.com/tidemark/tidemark/pkg/auth] identifies users, for embedding.
//   - [github.com/tidemark/tidemark/pkg/client] follows a feed from Go.
//   - [github.com/tidemark/tidemark/pkg/sse] encodes and decodes the wire format, with the standard
//     library alone.
//   - [github.com/tidemark/tidemark/pkg/web] has the client library for pages, as a handler.
//
// The packages below pkg are kept stable; those below internal are not for other modules.
package tidemark
