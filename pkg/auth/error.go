package auth

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Causes of an Error, for errors.Is.
var (
	// ErrExpired means that the token was valid and has expired. The client needs a new token.
	ErrExpired = errors.New("the token has expired")
	// ErrKeysUnavailable means that the token could not be verified, because the keys could not be
	// fetched. The client should retry with the same token.
	ErrKeysUnavailable = errors.New("the keys for the verification of tokens are not available")
)

// Error rejects a request. It contains the status and the text of the response.
type Error struct {
	Status int
	// Detail describes the problem and the remedy. It contains no data of the client.
	Detail string
	// Challenge is the value of WWW-Authenticate; empty for none.
	Challenge string
	// Err is the cause: ErrExpired, ErrKeysUnavailable or nil.
	Err error
}

func (e *Error) Error() string { return e.Detail }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func badRequest(format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Detail: fmt.Sprintf(format, args...)}
}

// invalidToken rejects an invalid token or key, in the form of RFC 6750.
func invalidToken(format string, args ...any) *Error {
	e := &Error{Status: http.StatusUnauthorized, Detail: fmt.Sprintf(format, args...)}
	e.Challenge = challenge("invalid_token", e.Detail)
	return e
}

// invalidRequest rejects a request with an ambiguous or malformed token.
func invalidRequest(format string, args ...any) *Error {
	e := badRequest(format, args...)
	e.Challenge = challenge("invalid_request", e.Detail)
	return e
}

func challenge(code, description string) string {
	return fmt.Sprintf(`Bearer error="%s", error_description="%s"`, code, describable(description))
}

// describable replaces the characters that RFC 6750 forbids in an error_description. Otherwise a quote
// or a line break in a configured name could end the header.
func describable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, s)
}
