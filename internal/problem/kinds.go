package problem

import (
	"net/http"
	"slices"
)

// Code identifies a kind of problem.
type Code string

// Error makes a code the cause of an error.
func (c Code) Error() string { return string(c) }

// The codes. The table below has their meaning.
const (
	InvalidRequest      Code = "invalid-request"
	InvalidEvent        Code = "invalid-event"
	BodyBroken          Code = "body-broken"
	TooManySubjects     Code = "too-many-subjects"
	Unauthenticated     Code = "unauthenticated"
	TokenExpired        Code = "token-expired"
	Forbidden           Code = "forbidden"
	SubjectForbidden    Code = "subject-forbidden"
	PublishForbidden    Code = "publish-forbidden"
	CrossOrigin         Code = "cross-origin"
	NotFound            Code = "not-found"
	MethodNotAllowed    Code = "method-not-allowed"
	NotAcceptable       Code = "not-acceptable"
	BodyTimeout         Code = "body-timeout"
	Conflict            Code = "conflict"
	BodyTooLarge        Code = "body-too-large"
	EventTooLarge       Code = "event-too-large"
	UnsupportedEncoding Code = "unsupported-encoding"
	UnknownHost         Code = "unknown-host"
	Undeliverable       Code = "undeliverable"
	EventRejected       Code = "event-rejected"
	RateLimited         Code = "rate-limited"
	Internal            Code = "internal"
	Unavailable         Code = "unavailable"
	KeysUnavailable     Code = "keys-unavailable"
	TryOtherNode        Code = "try-other-node"
	StoreUnavailable    Code = "store-unavailable"
	OutcomeUnknown      Code = "outcome-unknown"
	StoreFull           Code = "store-full"
)

// Kind is a kind of problem.
type Kind struct {
	Code   Code
	Status int // that of most answers of this kind
	Title  string
	Remedy string // for the client or its operator
}

// Type returns the URN of a kind.
func (k Kind) Type() string { return "urn:tidemark:" + string(k.Code) }

// kinds is the table of all kinds. The first one of a status is the general one.
var kinds = []Kind{
	{InvalidRequest, http.StatusBadRequest, "Invalid request", "Change the path, the query or the header that detail names. The same request fails again."},
	{InvalidEvent, http.StatusBadRequest, "Invalid event", "Change the part of the body that field names. Nothing of the request is stored, except for events of an event stream before it (`ingest`)."},
	{BodyBroken, http.StatusBadRequest, "Body broken off", "Send an event stream again with the same Idempotency-Key. `ingest` has the events that are stored; the subject is open."},
	{TooManySubjects, http.StatusBadRequest, "Too many subjects", "Name fewer subjects with ?subject= and ?only=1, or raise limits.last_subjects."},
	{Unauthenticated, http.StatusUnauthorized, "Not authenticated", "Send a token or an API key that this server accepts."},
	{TokenExpired, http.StatusUnauthorized, "Token expired", "Get a new token and repeat the request with it."},
	{Forbidden, http.StatusForbidden, "Forbidden", "Use an identity that has the right that detail names."},
	{SubjectForbidden, http.StatusForbidden, "Subject not allowed", "Request subjects within the feed and the token, or change feeds.<name>.allow or the grant of the token."},
	{PublishForbidden, http.StatusForbidden, "Publishing not allowed", "Publish to subjects of the key or token, or widen its grant (publish.keys)."},
	{CrossOrigin, http.StatusForbidden, "Cross-origin request", "Send the request from a page of this server, or from a program."},
	{NotFound, http.StatusNotFound, "Not found", "Check the path, and the id in it."},
	{MethodNotAllowed, http.StatusMethodNotAllowed, "Method not allowed", "Use one of the methods of the header Allow."},
	{NotAcceptable, http.StatusNotAcceptable, "Not acceptable", "Send an Accept header that allows one of the forms that detail names, or none."},
	{BodyTimeout, http.StatusRequestTimeout, "Body too slow", "Send the request again. Nothing of it is stored, except for events of an event stream (`ingest`)."},
	{Conflict, http.StatusConflict, "Conflict", "Change the state that detail names first."},
	{BodyTooLarge, http.StatusRequestEntityTooLarge, "Body too large", "Send smaller requests, or raise publish.max_bytes."},
	{EventTooLarge, http.StatusRequestEntityTooLarge, "Event too large", "Send less data, or raise the limits of the stream and of NATS (max_msg_size, max_payload)."},
	{UnsupportedEncoding, http.StatusUnsupportedMediaType, "Unsupported content encoding", "Send the body without Content-Encoding."},
	{UnknownHost, http.StatusMisdirectedRequest, "Unknown host", "Use a host name of this listener, or add it to the configuration."},
	{Undeliverable, http.StatusUnprocessableEntity, "Undeliverable subject", "Publish to a subject that a stream captures and a feed delivers."},
	{EventRejected, http.StatusUnprocessableEntity, "Event rejected", "The stream does not accept this event; detail has the reason of JetStream. The event is not stored."},
	{RateLimited, http.StatusTooManyRequests, "Too many requests", "Repeat the request after Retry-After seconds, or raise limits.publishes_per_second."},
	{Internal, http.StatusInternalServerError, "Internal error", "Find the cause in the log of the server."},
	{Unavailable, http.StatusServiceUnavailable, "Unavailable", "Repeat the request later, or at another node."},
	{KeysUnavailable, http.StatusServiceUnavailable, "Token keys unavailable", "Repeat the request with the same token after Retry-After seconds."},
	{TryOtherNode, http.StatusServiceUnavailable, "Try another node", "A proxy sends the request to the next node. Clients do not receive this answer."},
	{StoreUnavailable, http.StatusServiceUnavailable, "Event store unavailable", "The event is not stored. Repeat the request later."},
	{OutcomeUnknown, http.StatusServiceUnavailable, "Outcome unknown", "Repeat the request with the same id: if the event is stored, the repeat is a duplicate."},
	{StoreFull, http.StatusInsufficientStorage, "Event store full", "Make room in the stream, or raise its limits. The event is not stored."},
}

// Kinds returns all kinds, in the order of their status.
func Kinds() []Kind { return slices.Clone(kinds) }

func (c Code) kind() Kind {
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Code == c })
	if i < 0 {
		return Kind{Code: c, Title: string(c)}
	}
	return kinds[i]
}

// general returns the general code of a status.
func general(status int) Code {
	if i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Status == status }); i >= 0 {
		return kinds[i].Code
	}
	if status >= http.StatusInternalServerError {
		return Internal
	}
	return InvalidRequest
}
