package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/net/http/httpguts"

	"github.com/tidemark/tidemark/internal/terminal"
	"github.com/tidemark/tidemark/pkg/auth"
	"github.com/tidemark/tidemark/pkg/client"
)

type subscribeFlags struct {
	user, from, lastID, state, ca  string
	subjects, headers              []string
	only, json, untilEnd, insecure bool
	count                          uint
	maxBackoff                     time.Duration
}

func newSubscribe() *cobra.Command {
	var flags subscribeFlags
	cmd := &cobra.Command{
		Use:   "subscribe [URL]",
		Short: "Follow a feed in the terminal",
		Long: `Follow a feed in the terminal: print its events and reconnect after every loss. --state stores the position
in a file, so that the next run resumes there.

Events are printed to standard output, as POSITION TYPE DATA with further lines of data indented and
control characters escaped. Gaps and the state of the connection are printed to standard error. --json
prints all of them as one object a line to standard output: "kind" is event, open, gap, close, control or
disconnected, and events have "id", "event" (if they have a type) and "data". Data that is a JSON object
or array is printed unchanged, all other data as a string.

--until-end prints the stored events of the subjects of --subject and the events that follow, and exits with
status 0 when all of these subjects are complete: the last event of each was published as its end.

A response with a status of 4xx and a certificate that cannot be verified end the command; all other failures
are retried with backoff. --insecure accepts any certificate, such as that of "serve --http.tls.self_signed".`,
		Example: `  tidemark subscribe --user 42
  tidemark subscribe --user 42 --from all --state position.txt
  tidemark subscribe --subject notifications.topic.run7 --until-end
  tidemark subscribe https://example.com/events --header 'Authorization: Bearer ...' --json`,
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return subscribe(cmd, append(args, "http://127.0.0.1:8080/events")[0], flags)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.user, "user", "", "subscribe as this `user`, for a server in development mode (?user=)")
	f.StringArrayVar(&flags.subjects, "subject", nil, "request one more `subject`; repeatable, wildcards as the feed allows")
	f.BoolVar(&flags.only, "only", false, "receive only the subjects of --subject")
	f.BoolVar(&flags.untilEnd, "until-end", false, "exit when all subjects of --subject are complete; starts with the first stored event")
	f.StringVar(&flags.from, "from", "", "start without a position: new, all, last, a sequence, a time or a duration")
	f.StringVar(&flags.lastID, "last-event-id", "", "resume after this `position`, unless --state has a position")
	f.StringArrayVar(&flags.headers, "header", nil, "send this `'Name: value'`; repeatable")
	f.StringVar(&flags.state, "state", "", "store the position in this `file`")
	f.BoolVar(&flags.json, "json", false, "print one JSON object a line")
	f.StringVar(&flags.ca, "ca", "", "also trust the authorities in this PEM `file`")
	f.BoolVar(&flags.insecure, "insecure", false, "accept any TLS certificate of the server")
	f.UintVar(&flags.count, "count", 0, "stop after `N` events; 0 is unlimited")
	f.DurationVar(&flags.maxBackoff, "max-backoff", client.DefaultMaxBackoff, "longest wait before a reconnect")
	return cmd
}

func subscribe(cmd *cobra.Command, rawURL string, flags subscribeFlags) error {
	if err := flags.check(); err != nil {
		return usageError{err}
	}
	feedURL, err := flags.url(rawURL)
	if err != nil {
		return err
	}
	header, err := parseHeaders(flags.headers)
	if err != nil {
		return err
	}
	httpClient, err := flags.httpClient()
	if err != nil {
		return err
	}
	p := newPrinter(cmd.OutOrStdout(), cmd.ErrOrStderr(), flags.json)
	state := flags.keep()
	opts := client.Options{
		URL: feedURL, From: flags.from, UntilEnd: flags.untilEnd, Header: header, State: state, HTTPClient: httpClient,
		MinBackoff: min(flags.maxBackoff, client.DefaultMinBackoff), MaxBackoff: flags.maxBackoff,
		OnDisconnect: p.Disconnected,
	}
	err = follow(cmd.Context(), opts, p, flags.count)
	if errors.Is(err, context.Canceled) {
		return nil // by Ctrl-C
	}
	return explainCertificate(err)
}

func follow(ctx context.Context, opts client.Options, p terminal.EventPrinter, count uint) error {
	seen, complete := uint(0), false
	for ev, err := range client.Follow(ctx, opts) {
		if err != nil {
			return err
		}
		if err := p.Event(ev); err != nil {
			return err
		}
		if ev.Kind != client.KindMessage {
			complete = ev.Close != nil && ev.Close.Reason == client.CloseComplete
			continue
		}
		if seen++; seen != count {
			continue
		}
		if ev.ID == "" { // of a server without positions
			return nil
		}
		return opts.State.Save(ev.ID) // Follow saves an event only with the next call
	}
	if complete {
		return nil
	}
	return p.AlreadyComplete()
}

// check rejects flags that would make every connection fail.
func (f subscribeFlags) check() error {
	if f.maxBackoff <= 0 {
		return errors.New("--max-backoff must be above zero")
	}
	if f.untilEnd && len(f.subjects) == 0 {
		return errors.New("--until-end ends with the subjects of --subject; name at least one")
	}
	if !httpguts.ValidHeaderFieldValue(f.lastID) {
		return fmt.Errorf("--last-event-id %q is not one line of plain text", f.lastID)
	}
	return nil
}

// url adds the flags to the feed's query.
func (f subscribeFlags) url(raw string) (string, error) {
	u, err := url.Parse(raw)
	if wrong, ok := errors.AsType[*url.Error](err); ok { // url.Parse has no other error
		return "", usageError{&url.Error{Op: wrong.Op, URL: auth.Redact(wrong.URL), Err: wrong.Err}}
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", usageError{fmt.Errorf("%q is not the URL of a feed; write http://host/path or https://host/path", auth.Redact(raw))}
	}
	query := u.Query()
	if f.user != "" {
		query.Set("user", f.user)
	}
	for _, s := range f.subjects {
		query.Add("subject", s)
	}
	if f.only {
		query.Set("only", "1")
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

func parseHeaders(lines []string) (http.Header, error) {
	header := http.Header{}
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, usageError{fmt.Errorf("--header %q: write it as 'Name: value'", line)}
		}
		header.Add(name, value)
	}
	return header, nil
}

// keep returns the store of the position: a file, or memory.
func (f subscribeFlags) keep() client.State {
	var kept client.State = &memory{}
	if f.state != "" {
		kept = client.FileState(f.state)
	}
	return startingAt{kept, f.lastID}
}

type memory struct{ position string }

func (m *memory) Load() (string, error)      { return m.position, nil }
func (m *memory) Save(position string) error { m.position = position; return nil }

// startingAt has a position for an empty state.
type startingAt struct {
	client.State
	position string
}

func (s startingAt) Load() (string, error) {
	kept, err := s.State.Load()
	if err == nil && kept == "" {
		return s.position, nil
	}
	return kept, err
}

func newPrinter(stdout, stderr io.Writer, asJSON bool) terminal.EventPrinter {
	if asJSON {
		return terminal.NewJSONEventPrinter(stdout)
	}
	return terminal.NewEventPrinter(stdout, stderr)
}
