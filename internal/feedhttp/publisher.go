package feedhttp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/problem"
	"github.com/tidemark/tidemark/pkg/auth"
)

// publisher has the checks and the answer that Publish, PublishBody and SendMessage share.
type publisher struct{ opts PublishOptions }

// authorize checks a request before its body is read, which would cost memory. It answers a refusal itself.
func (p *publisher) authorize(w http.ResponseWriter, r *http.Request) (id auth.Identity, ok bool) {
	if r.Method != http.MethodPost {
		refuseMethod(w, r, "POST, OPTIONS")
		return id, false
	}
	answerAtOnce(w, r)
	err := checkQuery(r)
	if err == nil {
		err = p.opts.Admission.admitPublish(r, 1)
	}
	if err == nil && p.opts.Identify != nil {
		id, err = p.opts.Identify(r)
	}
	if err == nil {
		err = checkEncoding(r.Header)
	}
	if err != nil {
		p.refuse(w, r, id, err)
		return id, false
	}
	return id, true
}

// checkEncoding refuses a compressed body: its bytes would be stored as they are.
func checkEncoding(header http.Header) error {
	for _, encoding := range header["Content-Encoding"] {
		if encoding != "" && !strings.EqualFold(encoding, "identity") {
			return &auth.Error{Status: http.StatusUnsupportedMediaType, Err: problem.UnsupportedEncoding, Detail: fmt.Sprintf("Content-Encoding: %.100s is not supported; send the body without compression", encoding)}
		}
	}
	return nil
}

// refuse answers a request, and reports a refusal for the identity or a limit.
func (p *publisher) refuse(w http.ResponseWriter, r *http.Request, id auth.Identity, err error) {
	report(p.opts.Refused, p.opts.Admission, r, id, err)
	refuse(w, err)
}

// publish stores the messages of a request, or answers with invalid, the error of reading it.
func (p *publisher) publish(w http.ResponseWriter, r *http.Request, id auth.Identity, msgs []feed.Message, isArray bool, invalid error) {
	if invalid != nil {
		refuse(w, invalid)
		return
	}
	for _, m := range msgs {
		if p.opts.Identify != nil && !id.MayPublish(m.Subject) {
			p.refuse(w, r, id, publishForbidden(m.Subject))
			return
		}
	}
	if err := p.opts.Admission.admitPublish(r, len(msgs)-1); err != nil { // authorize counted one
		p.refuse(w, r, auth.Identity{}, err)
		return
	}
	scopeIDs(id, msgs)
	p.store(w, r, msgs, isArray)
}

func publishForbidden(subject string) error {
	return &auth.Error{
		Status: http.StatusForbidden, Err: problem.PublishForbidden, Detail: fmt.Sprintf("the key or token does not allow to publish to %q", subject),
	}
}

// store publishes and answers.
func (p *publisher) store(w http.ResponseWriter, r *http.Request, msgs []feed.Message, isArray bool) {
	ctx, cancel := context.WithTimeout(r.Context(), p.opts.Timeout)
	defer cancel()
	results := make([]PublishResult, len(msgs))
	var failed error
	for i, res := range p.opts.Publisher.Publish(ctx, msgs...) {
		results[i] = resultOf(res)
		failed = worse(failed, res.Err)
	}
	if failed != nil {
		fields := []slog.Attr{slog.Any("error", failed), slog.String("subject", msgs[0].Subject), slog.Int("events", len(msgs)), slog.String("outcome", string(outcomeOf(failed)))}
		p.opts.Logger.LogAttrs(r.Context(), slog.LevelWarn, "publish: request failed; the response has the outcome", withTrace(fields, traceIDOf(traceParent(r.Header)))...)
		answer := storeProblem(failed)
		if isArray {
			answer.Results = results
		}
		problem.Write(w, answer)
		return
	}
	if isArray {
		writeJSON(w, results)
	} else {
		writeJSON(w, results[0])
	}
}

func writeJSON(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "private, no-store")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(answer)
}

// check returns an invalid part of a message as a *fieldError.
func (p *publisher) check(ctx context.Context, m feed.Message, i int, isArray bool) error {
	err := m.Validate()
	if err == nil && p.opts.Accept != nil {
		if rejected := p.opts.Accept(ctx, m.Subject); rejected != nil {
			err = &fieldError{field: "subject", reason: rejected.Error(), code: problem.Undeliverable}
		}
	}
	if invalid, ok := errors.AsType[*feed.InvalidError](err); ok {
		wrong := &fieldError{field: invalid.Field, reason: invalid.Reason}
		if invalid.Field == "subject" {
			wrong.reason += p.subjectHint(m.Subject)
		}
		if invalid.Misspelt {
			wrong.code = problem.Undeliverable
		}
		err = wrong
	}
	return atIndex(err, i, isArray)
}

// atIndex adds the index in an array to the field of an error.
func atIndex(err error, i int, isArray bool) error {
	if wrong, ok := errors.AsType[*fieldError](err); ok && isArray {
		return &fieldError{fmt.Sprintf("[%d].%s", i, wrong.field), wrong.reason, wrong.code}
	}
	return err
}
