package feedhttp

import (
	"net/http"
	"time"

	"github.com/tidemark/tidemark/internal/problem"
)

// NextUpstream is a request header of proxies with several nodes. With the value 503 the proxy sends a
// request to the next node on this status, instead of passing the status to the client. nginx
// does so with `proxy_next_upstream http_503`.
const NextUpstream = "Tidemark-Next-Upstream"

// lostTolerance is how long a node that does not reach its stream still accepts connections. A cluster
// that elects a leader is unreachable for all nodes, and another node would be no faster.
const lostTolerance = 5 * time.Second

// tryOtherNode returns why another node would serve a client better; empty if none would. Without such a
// proxy it is always empty: 503 is final for an EventSource.
func (h *Subscribe) tryOtherNode(r *http.Request) (why string) {
	if r.Header.Get(NextUpstream) != "503" {
		return ""
	}
	if h.draining() {
		return "this node is shutting down"
	}
	if h.opts.Feed.LostFor() > lostTolerance {
		return "this node does not reach the stream"
	}
	return ""
}

func rejectToOtherNode(w http.ResponseWriter, why string) {
	problem.Write(w, problem.Document{
		Code: problem.TryOtherNode, RetryAfter: "2",
		Detail: why + "; a proxy that sends " + NextUpstream + ": 503 must try the next node",
	})
}
