package tidemark

import (
	"errors"
	"net/http"

	"github.com/tidemark/tidemark/pkg/auth"
)

// required answers a request without an identity with 401. The answer does not name the missing identity: it may
// come from a cookie of the program as well as from a gateway.
func required(source auth.Source) auth.Source {
	return otherwise401(source, "this feed needs an identity, and the request has none; log in")
}

// requiredPublisher is required for publishers.
func requiredPublisher(source auth.Source) auth.Source {
	return otherwise401(source, "publishing needs an identity, and the request has none; log in")
}

func otherwise401(source auth.Source, detail string) auth.Source {
	return func(r *http.Request) (auth.Identity, error) {
		id, err := source(r)
		if errors.Is(err, auth.ErrNoIdentity) {
			return auth.Identity{}, &auth.Error{Status: http.StatusUnauthorized, Detail: detail}
		}
		return id, err
	}
}

// noPublishers rejects every request: a handler without PublishOptions.Identify must not let all clients publish.
func noPublishers(*http.Request) (auth.Identity, error) {
	return auth.Identity{}, &auth.Error{Status: http.StatusForbidden, Detail: "no client may publish here: the program sets no PublishOptions.Identify"}
}
