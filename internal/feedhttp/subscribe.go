package feedhttp

import (
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/slots"
	"github.com/tidemark/tidemark/pkg/auth"
)

// Subscribe is the handler of GET requests for the events of a feed.
type Subscribe struct {
	opts    SubscribeOptions
	source  string // of CloudEvents
	drained atomic.Bool
	counts  counts
	ends    sampler // of the log lines about closed connections

	// mu also keeps connections from being added once Drain waits for the open ones.
	mu    sync.Mutex
	conns slots.Set[session]
	open  sync.WaitGroup // one for each of conns
}

// NewSubscribe returns a handler over opts.Feed.
func NewSubscribe(opts SubscribeOptions) *Subscribe {
	return &Subscribe{opts: opts.withDefaults(), source: sourceOf(opts.Stream), conns: slots.New(func(s *session) *int32 { return &s.slot })}
}

// Revoke closes the connections of a revocation, made at a time, and returns their number. See
// [auth.Revocation.Matches]. Clients may reconnect: Identify must reject them before Revoke is called.
func (h *Subscribe) Revoke(rev auth.Revocation, at time.Time) (n int) {
	for _, s := range h.sessions() {
		if s.revoke(rev, at) {
			n++
		}
	}
	return n
}

// sessions returns the open connections. A connection that is added later sees what was set before.
func (h *Subscribe) sessions() []*session {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.conns.All())
}

// ServeHTTP answers GET with a response without end. HEAD is answered with its headers, and OPTIONS with the
// methods.
func (h *Subscribe) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["Vary"] = vary
	if h.draining() {
		w.Header().Set("Connection", "close") // so that clients and proxies send no further request on it
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		refuseMethod(w, r, "GET, HEAD, OPTIONS")
		return
	}
	if err := checkQuery(r); err != nil {
		refuse(w, err)
		return
	}
	form, err := negotiate(r.Header)
	if err != nil {
		refuse(w, err)
		return
	}
	if why := h.tryOtherNode(r); why != "" {
		h.opts.Admission.Refuse(RefusedOtherNode)
		rejectToOtherNode(w, why)
		return
	}
	if err := h.opts.Admission.admitConnect(r); err != nil {
		h.report(r, auth.Identity{}, err)
		h.rejectConnect(w, r, form, err)
		return
	}
	s, err := h.newSession(r, form)
	if err != nil {
		h.report(r, auth.Identity{}, err)
		refuse(w, err)
		return
	}
	if r.Method == http.MethodHead {
		setHeaders(w.Header(), s.controls.form)
		w.WriteHeader(http.StatusOK)
		return
	}
	h.admitSession(w, r, s)
}

// admitSession serves a session within the limits. Beyond them the session only sends a close event.
func (h *Subscribe) admitSession(w http.ResponseWriter, r *http.Request, s *session) {
	if err := h.checkLast(r, s); err != nil {
		refuse(w, err)
		return
	}
	release, err := h.opts.Admission.admit(s.user, r)
	if err == nil && s.request.costly {
		s.request.release, err = h.opts.Admission.admitLast(s.user, r)
	}
	if err == nil {
		var complete bool
		if complete, err = h.checkComplete(r, s); complete {
			release()
			answerComplete(w, s.controls.form)
			return
		}
	}
	if err != nil {
		h.report(r, auth.Identity{Vars: map[string]string{"user": s.user}, TokenID: s.grant.Token}, err)
	}
	h.serve(w, r, s, release, err)
}

func (h *Subscribe) report(r *http.Request, id auth.Identity, err error) {
	report(h.opts.Refused, h.opts.Admission, r, id, err)
}

// rejectConnect answers with a close event alone. It does not identify the caller: a client that connects
// too often is not worth the check of a token.
func (h *Subscribe) rejectConnect(w http.ResponseWriter, r *http.Request, form Form, why error) {
	if form == FormJSON {
		h.refusePage(w, why)
		return
	}
	if r.Method == http.MethodHead {
		setHeaders(w.Header(), form)
		w.WriteHeader(http.StatusOK)
		return
	}
	query, _ := url.ParseQuery(r.URL.RawQuery) // the valid part of it
	now := time.Now()
	s := &session{
		handler: h, remote: r.RemoteAddr, proto: protoOf(r), start: now, idle: idleClock{since: now},
		controls: controlWriter{asComments: query.Get("control") == "off", form: form, source: &h.source},
	}
	h.serve(w, r, s, func() {}, why)
}

// serve gives a session to the engine. With reject the session only sends a close event: another status than
// 200 is final for an EventSource.
func (h *Subscribe) serve(w http.ResponseWriter, r *http.Request, s *session, release func(), reject error) {
	h.register(s, release, reject)
	s.mu.Lock()
	if check := h.opts.Check; check != nil && s.state == stateNew && check(s.grant) != nil {
		s.closeLocked(errRevoked) // revoked before Revoke could find the session
	}
	// A poll without a wait is over before an observer could be of use.
	observe := s.state == stateNew && h.opts.Observer != nil && !h.draining() && (s.page == nil || s.page.wait)
	if observe {
		s.announced = announcedObserver
	}
	s.mu.Unlock()
	if observe {
		h.opts.Observer.Connected(Conn{s})
	}
	if s.page != nil {
		h.servePage(w, r, s)
		return
	}
	setHeaders(w.Header(), s.controls.form)
	h.opts.Engine.Serve(w, r, s, engine.Options{WriteTimeout: h.opts.WriteTimeout})
}

// newSession reads the request. The error is for requests that must not be repeated.
func (h *Subscribe) newSession(r *http.Request, form Form) (*session, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("the query cannot be read: %v", err) // the part that is dropped may be the position
	}
	id, err := h.opts.Identify(r)
	if err == nil {
		err = checkPageParams(query, form)
	}
	if err != nil {
		return nil, err
	}
	tag, err := h.compareTag(id, query)
	if err != nil {
		return nil, err
	}
	filters, untilEnd, err := h.filters(id, query)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	start, err := startOf(r.Header, r.URL.RawQuery, query, tag.changed, func(s string) (feed.Start, error) {
		if untilEnd && s == "" {
			s = "all"
		}
		return feed.ParseFrom(s, now)
	})
	if err != nil {
		return nil, err
	}
	controls, err := parseControls(query, form, &h.source)
	if err != nil {
		return nil, err
	}
	s := &session{
		handler: h, id: h.opts.Admission.serial.Add(1), grant: id.Grant(), user: strings.Clone(id.User()), remote: h.opts.Admission.remote(r),
		start: now, idle: idleClock{since: now}, trace: traceOf(r.Header), proto: protoOf(r), controls: controls,
		request: &startRequest{
			SubscribeOptions: feed.SubscribeOptions{
				Filters: filters, Start: start, ReplayFromStore: h.opts.ReplayFromStore, MaxLastSubjects: h.opts.Admission.limits.LastSubjects,
				UntilEnd: untilEnd,
			},
			identity: tag,
		},
	}
	if form == FormJSON {
		if s.page, err = newPage(query, now); err != nil {
			return nil, err
		}
		s.page.identityChanged = tag.changed
	}
	if h.opts.MaxAge > 0 {
		s.deadlines.set(now.Add(jitter(h.opts.MaxAge*95/100, 0.05)), errMaxAge)
	}
	s.deadlines.expireAt(id.Expires)
	return s, nil
}

// register adds a session to the open ones and counts it. With reject it is closed at its first turn, and not
// counted. While the handler drains, so are all, and Drain does not wait for them.
func (h *Subscribe) register(s *session, release func(), reject error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining() {
		if reject == nil {
			h.opts.Admission.Refuse(RefusedDraining)
		}
		s.closeLocked(errDrain)
		s.release = release
		return
	}
	s.closeLocked(reject)
	if reject == nil {
		s.announced = announcedCount
		h.counts.connects.Add(1)
	}
	h.conns.Add(s)
	h.open.Add(1)
	s.release = func() {
		release()
		h.mu.Lock()
		h.conns.Remove(s)
		h.mu.Unlock()
		h.open.Done()
	}
}

func setHeaders(h http.Header, form Form) { maps.Copy(h, formHeaders[form]) }

// jitter spreads d evenly over d*(1-share) to d*(1+share).
func jitter(d time.Duration, share float64) time.Duration {
	return time.Duration(float64(d) * (1 + share*(2*rand.Float64()-1)))
}
