package auth

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Causes of an Error that a caller may want to tell apart with errors.Is.
var (
	// ErrExpired: the token was good once. The client needs a new one, and nothing else.
	ErrExpired = errors.New("the token has expired")
	// ErrKeysUnavailable: whether the token is good is not known, since the keys could not be
	// fetched. The client should come again with the same token.
	ErrKeysUnavailable = errors.New("the keys that tokens are checked with cannot be had now")
)

// Error refuses a request, with the status and the words for its answer.
type Error struct {
	Status int
	// Detail says what to change. It never holds what the client sent.
	Detail string
	// Challenge is the value of the answer's WWW-Authenticate; empty for none.
	Challenge string
	// Err is the cause, where ErrExpired or ErrKeysUnavailable fits.
	Err error
}

func (e *Error) Error() string { return e.Detail }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func badRequest(format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Detail: fmt.Sprintf(format, args...)}
}

// invalidToken refuses a token or key that is there and not accepted, as RFC 6750 has it.
func invalidToken(format string, args ...any) *Error {
	e := &Error{Status: http.StatusUnauthorized, Detail: fmt.Sprintf(format, args...)}
	e.Challenge = challenge("invalid_token", e.Detail)
	return e
}

// invalidRequest refuses a request that carries tokens in a way that makes none of them the
// one that is meant.
func invalidRequest(format string, args ...any) *Error {
	e := badRequest(format, args...)
	e.Challenge = challenge("invalid_request", e.Detail)
	return e
}

func challenge(code, description string) string {
	return fmt.Sprintf(`Bearer error="%s", error_description="%s"`, code, describable(description))
}

// describable leaves the characters that RFC 6750 allows in an error_description: neither a
// quote nor a line break of a configured name can end the header early.
func describable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, s)
}
