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
	user, from, lastID, state string
	subjects, headers         []string
	only, json                bool
	count                     uint
	maxBackoff                time.Duration
}

func newSubscribe() *cobra.Command {
	var flags subscribeFlags
	cmd := &cobra.Command{
		Use:   "subscribe [URL]",
		Short: "Follow a feed in the terminal",
		Long: `Follow a feed in the terminal: print its events, reconnect whatever happens, and keep the
position in a file with --state, so that the next run goes on where this one stopped.

Events go to standard output, as POSITION TYPE DATA with further lines of data indented; what
could steer a terminal is escaped. What happens to the connection, and gaps, go to standard
error. With --json each is an object on a line of standard output: "kind" is event, open, gap,
close, control or disconnected, and events have "id", "event" (when they have a type) and "data".
Data that is a JSON object or array stands as such, anything else as a string of its text.

The server's own refusal (4xx) ends it; anything else is tried again, less and less often.`,
		Example: `  tidemark subscribe --user 42
  tidemark subscribe --user 42 --from all --state position.txt
  tidemark subscribe https://example.com/events --header 'Authorization: Bearer ...' --json`,
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return subscribe(cmd, append(args, "http://127.0.0.1:8080/events")[0], flags)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.user, "user", "", "listen as this `user`, where the server takes ?user= (on loopback)")
	f.StringArrayVar(&flags.subjects, "subject", nil, "ask for one more `subject`; repeatable, wildcards as the feed allows")
	f.BoolVar(&flags.only, "only", false, "leave out the feed's own subjects")
	f.StringVar(&flags.from, "from", "", "where to begin without a position: new, all, last, a sequence, a time or a duration")
	f.StringVar(&flags.lastID, "last-event-id", "", "begin after this `position`; one in --state beats it")
	f.StringArrayVar(&flags.headers, "header", nil, "send this `'Name: value'`; repeatable")
	f.StringVar(&flags.state, "state", "", "keep the position in this `file`")
	f.BoolVar(&flags.json, "json", false, "print one JSON object a line")
	f.UintVar(&flags.count, "count", 0, "stop after `N` events; 0 goes on for ever")
	f.DurationVar(&flags.maxBackoff, "max-backoff", client.DefaultMaxBackoff, "the longest wait before a reconnect")
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
	p := newPrinter(cmd.OutOrStdout(), cmd.ErrOrStderr(), flags.json)
	state := flags.keep()
	opts := client.Options{
		URL: feedURL, From: flags.from, Header: header, State: state,
		MinBackoff: min(flags.maxBackoff, client.DefaultMinBackoff), MaxBackoff: flags.maxBackoff,
		OnDisconnect: p.Disconnected,
	}
	err = follow(cmd.Context(), opts, p, flags.count)
	if errors.Is(err, context.Canceled) {
		return nil // Ctrl-C is how one leaves
	}
	return err
}

func follow(ctx context.Context, opts client.Options, p terminal.EventPrinter, count uint) error {
	seen := uint(0)
	for ev, err := range client.Follow(ctx, opts) {
		if err != nil {
			return err
		}
		if err := p.Event(ev); err != nil {
			return err
		}
		if ev.Kind != client.KindMessage {
			continue
		}
		if seen++; seen != count {
			continue
		}
		if ev.ID == "" { // of a server that names no positions
			return nil
		}
		return opts.State.Save(ev.ID) // Follow saves an event when asked for the next
	}
	return nil
}

// check finds what would fail on every connection, and so be tried for ever.
func (f subscribeFlags) check() error {
	if f.maxBackoff <= 0 {
		return errors.New("--max-backoff must be above zero")
	}
	if !httpguts.ValidHeaderFieldValue(f.lastID) {
		return fmt.Errorf("--last-event-id %q is not one line of plain text", f.lastID)
	}
	return nil
}

// url adds the flags to the feed's query.
func (f subscribeFlags) url(raw string) (string, error) {
	u, err := url.Parse(raw)
	if wrong, ok := errors.AsType[*url.Error](err); ok { // the one error that there is
		return "", usageError{&url.Error{Op: wrong.Op, URL: auth.Redact(wrong.URL), Err: wrong.Err}}
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", usageError{fmt.Errorf("%q is no feed: want http://host/path or https://host/path", auth.Redact(raw))}
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
			return nil, usageError{fmt.Errorf("--header %q: want 'Name: value'", line)}
		}
		header.Add(name, value)
	}
	return header, nil
}

// keep is where the position goes: a file, or memory.
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

// startingAt gives a position to a state that has none.
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
