package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// answer is the text of the model.
const answer = "The tide rises twice a day because the Earth turns beneath two bulges of water. " +
	"The Moon pulls most strongly on the water that faces it, which makes the first bulge. " +
	"On the opposite side the pull is weakest, and the water that is left behind makes the second one. " +
	"The Sun adds its own, smaller pull: at new and full Moon both act together, and the spring tides are high; " +
	"between them the neap tides stay low. Coasts, bays and the depth of the sea decide the rest, " +
	"from a hand's breadth in the Baltic to sixteen metres in the Bay of Fundy. 🌊"

// model is a stand-in for a language model. Its event stream is that of chat completions.
type model struct{ pause time.Duration }

func (m model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w).Flush
	for _, token := range strings.SplitAfter(answer, " ") {
		fmt.Fprintf(w, `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":%q}}]}`+"\n\n", token)
		if flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(m.pause):
		}
	}
	fmt.Fprint(w, `data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\n")
	fmt.Fprint(w, "data: [DONE]\n\n")
}
