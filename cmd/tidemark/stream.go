package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/natserr"
	"github.com/tidemark/tidemark/internal/streamdef"
	"github.com/tidemark/tidemark/streams"
)

func newStream() *cobra.Command {
	return group(&cobra.Command{
		Use:   "stream",
		Short: "Manage the streams of the definitions",
		Long: `Manage the streams of the definitions: the built-in ones, and those of the directory streams.dir.
streams.replicas replaces their num_replicas, and streams.max_bytes their max_bytes. The state of a
stream is "missing" if the server does not have it, "unchanged" if it equals its definition, else
"differs".`,
	},
		streamCommand("ls", "List the streams and their contents", listStreams),
		streamCommand("check", "Compare the server's streams with their definitions; exit 1 if any differs", checkStreams),
		streamCommand("apply", "Create missing streams and change those that differ", applyStreams),
		newStreamBackup(), newStreamRestore(),
	)
}

// streamsTask is the input and output of a stream command.
type streamsTask struct {
	ctx  context.Context
	js   jetstream.JetStream
	defs []streams.Definition
	out  io.Writer
	json bool
}

func streamCommand(name, short string, run func(streamsTask) error) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: name, Short: short,
		Example: "  tidemark stream " + name + "\n  tidemark stream " + name + " --streams.dir streams --nats.url nats://127.0.0.1:4222 --json",
		Args:    arguments(cobra.NoArgs),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return configured(cmd, func(cmd *cobra.Command, _ []string, cfg config.Config) error {
		defs, err := loadDefinitions(cfg)
		if err != nil {
			return err
		}
		js, err := connectJetStream(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		defer js.Conn().Close()
		return natserr.LacksPermission(natserr.Permitted(cmd.Context(), js.Conn(), func(ctx context.Context) error {
			return run(streamsTask{ctx, js, defs, cmd.OutOrStdout(), asJSON})
		}))
	}, "nats.", "streams.dir", "streams.replicas", "streams.max_bytes")
}

// streamRow is one stream in the output of ls, check and apply.
type streamRow struct {
	Name        string                 `json:"name"`
	State       streamdef.Action       `json:"state"`
	Subjects    []string               `json:"subjects"`
	Source      string                 `json:"source"`
	Messages    uint64                 `json:"messages"`
	Bytes       uint64                 `json:"bytes"`
	FirstSeq    uint64                 `json:"first_seq"`
	LastSeq     uint64                 `json:"last_seq"`
	Differences []streamdef.Difference `json:"differences,omitempty"`
}

func (t streamsTask) inspect(def streams.Definition) (streamRow, error) {
	out, err := streamdef.Inspect(t.ctx, t.js, def.Config)
	row := streamRow{Name: def.Name, State: out.Action, Subjects: def.Config.Subjects, Source: def.Source, Differences: out.Differences}
	if err != nil || out.Action == streamdef.Missing {
		return row, err
	}
	s, err := t.js.Stream(t.ctx, def.Name)
	if err != nil {
		return row, err
	}
	state := s.CachedInfo().State
	row.Messages, row.Bytes, row.FirstSeq, row.LastSeq = state.Msgs, state.Bytes, state.FirstSeq, state.LastSeq
	return row, nil
}

func (t streamsTask) rows(look func(streams.Definition) (streamRow, error)) ([]streamRow, error) {
	rows := make([]streamRow, len(t.defs))
	for i, def := range t.defs {
		var err error
		if rows[i], err = look(def); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func listStreams(t streamsTask) error {
	rows, err := t.rows(t.inspect)
	if err != nil || t.json {
		return t.printJSON(rows, err)
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STREAM\tSTATE\tMESSAGES\tBYTES\tFIRST\tLAST\tSUBJECTS\tDEFINITION")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%v\t%s\n", r.Name, r.State, r.Messages, r.Bytes, r.FirstSeq, r.LastSeq, r.Subjects, r.Source)
	}
	return w.Flush()
}

func checkStreams(t streamsTask) error {
	rows, err := t.rows(t.inspect)
	if err != nil {
		return err
	}
	if err := t.print(rows); err != nil {
		return err
	}
	for _, r := range rows {
		if r.State != streamdef.Unchanged {
			return errSilent
		}
	}
	return nil
}

// applyStreams continues after a failure, and always prints the results.
func applyStreams(t streamsTask) error {
	rows := []streamRow{} // JSON null is not an array
	var failures []error
	for _, def := range t.defs {
		row, err := t.apply(def)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		rows = append(rows, row)
	}
	return errors.Join(append(failures, t.print(rows))...)
}

// apply has a context of its own, so that a missing permission for one stream does not affect the others.
func (t streamsTask) apply(def streams.Definition) (row streamRow, err error) {
	err = natserr.Permitted(t.ctx, t.js.Conn(), func(ctx context.Context) error {
		t := t
		t.ctx = ctx
		out, err := streamdef.Provision(ctx, t.js, def.Config, true)
		if err != nil {
			return err
		}
		row, err = t.inspect(def)
		row.State, row.Differences = out.Action, out.Differences
		return err
	})
	return row, natserr.LacksPermission(err)
}

// print writes the state of each stream, and the fields that differ.
func (t streamsTask) print(rows []streamRow) error {
	if t.json {
		return t.printJSON(rows, nil)
	}
	for _, r := range rows {
		if _, err := fmt.Fprintf(t.out, "%s: %s\n", r.Name, r.State); err != nil {
			return err
		}
		for _, d := range r.Differences {
			fmt.Fprintf(t.out, "  %s\n", d)
		}
	}
	return nil
}

func (t streamsTask) printJSON(rows []streamRow, err error) error {
	if err != nil {
		return err
	}
	enc := json.NewEncoder(t.out)
	enc.SetEscapeHTML(false) // subjects have '>'
	enc.SetIndent("", "  ")
	return enc.Encode(rows)
}
