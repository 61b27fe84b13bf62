package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/testkit"
)

// The reference of the command line follows from the commands. `TIDEMARK_UPDATE=1 go test ./cmd/tidemark -run
// TestReference` writes it.
func TestReference_Commands_AreThoseOfTheProgram(t *testing.T) {
	var b strings.Builder
	b.WriteString("| command | |\n|---|---|\n")
	commands := allCommands(newRoot())
	for _, cmd := range commands {
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", cmd.CommandPath(), strings.ReplaceAll(cmd.CommandPath(), " ", "-"), markdown(cmd.Short))
	}
	for _, cmd := range commands {
		b.WriteString(commandReference(cmd))
	}
	testkit.Generated(t, "../../docs/reference/cli.md", "commands", b.String())
}

// allCommands returns the commands below cmd that people use, in the order of their paths.
func allCommands(cmd *cobra.Command) (all []*cobra.Command) {
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			all = append(append(all, c), allCommands(c)...)
		}
	}
	return all
}

func commandReference(cmd *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n", cmd.CommandPath())
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	b.WriteString(markdown(text) + "\n")
	if cmd.HasAvailableSubCommands() {
		return b.String()
	}
	own, keys := flagsOf(cmd)
	usage, _ := strings.CutSuffix(cmd.UseLine(), " [flags]")
	if len(own)+len(keys) > 0 {
		usage += " [flags]"
	}
	fmt.Fprintf(&b, "\n    %s\n", usage)
	if len(own) > 0 {
		b.WriteString("\n| flag | default | |\n|---|---|---|\n")
	}
	for _, f := range own {
		b.WriteString(flagRow(f))
	}
	if len(keys) > 0 {
		fmt.Fprintf(&b, "\nKeys of the configuration as flags: %s.\n", strings.Join(keys, ", "))
	}
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\n<!-- not run: the examples of --help, whose servers and users do not exist -->\n```sh\n%s\n```\n", unindent(cmd.Example))
	}
	return b.String()
}

// flagsOf returns the flags that only this command has, and links to its keys of the configuration. A section with
// all its keys is one link.
func flagsOf(cmd *cobra.Command) (own []*pflag.Flag, keys []string) {
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.BindFlags(all)
	sections := make(map[string]int) // the number of keys
	all.VisitAll(func(f *pflag.Flag) { sections[section(f.Name)]++ })
	bound := make(map[string][]string)
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		switch {
		case f.Hidden || f.Name == "help":
		case all.Lookup(f.Name) == nil:
			own = append(own, f)
		default:
			bound[section(f.Name)] = append(bound[section(f.Name)], f.Name)
		}
	})
	if len(bound) == len(sections) {
		return own, []string{"[all](configuration.md)"}
	}
	for _, s := range slices.Sorted(maps.Keys(bound)) {
		names := bound[s]
		if len(names) == sections[s] && len(names) > 1 {
			names = []string{s + ".*"}
		}
		for _, name := range names {
			link := "configuration.md#" + s
			if name == "config" {
				link = "configuration.md"
			}
			keys = append(keys, fmt.Sprintf("[`--%s`](%s)", name, link))
		}
	}
	return own, keys
}

// section returns the outermost section of a key.
func section(key string) string {
	name, _, _ := strings.Cut(key, ".")
	return name
}

func flagRow(f *pflag.Flag) string {
	value, usage := pflag.UnquoteUsage(f)
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	if value != "" {
		name += " " + value
	}
	def := f.DefValue
	if slices.Contains([]string{"", "false", "0", "0s", "[]"}, def) {
		def = ""
	} else {
		def = "`" + def + "`"
	}
	return fmt.Sprintf("| `%s` | %s | %s |\n", name, def, markdown(usage))
}

var escaped = strings.NewReplacer("<", "&lt;", "|", `\|`, "*", `\*`)

// markdown escapes a text of --help.
func markdown(text string) string { return escaped.Replace(strings.TrimSpace(text)) }

func unindent(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}
