package tidemark

import (
	"errors"
	"net/http"

	"github.com/tidemark/tidemark/pkg/auth"
)

// required answers a request without an identity with 401. The answer does not say which identity is
// missing: it may come from a cookie of the program as well as from a gateway.
func required(source auth.Source) auth.Source {
	return func(r *http.Request) (auth.Identity, error) {
		id, err := source(r)
		if errors.Is(err, auth.ErrNoIdentity) {
			return auth.Identity{}, &auth.Error{Status: http.StatusUnauthorized, Detail: "this feed needs an identity, and the request has none; log in"}
		}
		return id, err
	}
}
