package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// What a build without git is told by `-ldflags "-X main.stampVersion=..."`, as the Dockerfile
// does. A build from a checkout knows it by itself.
var stampVersion, stampCommit, stampDate string

// build is what was built. Commit and date (RFC 3339, the commit's) can be empty.
type build struct{ version, commit, date string }

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and the commit's date",
		Args:  arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "tidemark %s %s %s/%s\n", thisBuild(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// version is the module's version, or the commit of a build from a checkout.
func version() string { return thisBuild().version }

func thisBuild() build {
	info, _ := debug.ReadBuildInfo()
	return buildOf(info, build{stampVersion, stampCommit, stampDate})
}

// buildOf prefers what the Go command saw to what the build was told. Without info (nil) and told
// nothing, the version is "unknown".
func buildOf(info *debug.BuildInfo, told build) build {
	if info == nil {
		told.version = cmp.Or(told.version, "unknown")
		return told
	}
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	b := build{commit: cmp.Or(set["vcs.revision"], told.commit), date: cmp.Or(set["vcs.time"], told.date)}
	if b.version = info.Main.Version; b.version == "" || b.version == "(devel)" {
		b.version = cmp.Or(set["vcs.revision"], told.version, b.commit, "devel")
		if set["vcs.modified"] == "true" {
			b.version += "+changes"
		}
	}
	return b
}

func (b build) String() string {
	var more []string
	for _, s := range []string{b.commit, b.date} {
		if s != "" {
			more = append(more, s)
		}
	}
	if len(more) == 0 {
		return b.version
	}
	return b.version + " (" + strings.Join(more, ", ") + ")"
}
