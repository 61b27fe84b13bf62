package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// Set with `-ldflags "-X main.stampVersion=..."` by builds without git, such as that of the Dockerfile. The
// build information of a checkout has them already.
var stampVersion, stampCommit, stampDate string

// build identifies a build. Commit and its date (RFC 3339) can be empty.
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

// buildOf prefers the build information of the Go command to the stamp. Without both, the version is
// "unknown".
func buildOf(info *debug.BuildInfo, stamp build) build {
	if info == nil {
		stamp.version = cmp.Or(stamp.version, "unknown")
		return stamp
	}
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	b := build{commit: cmp.Or(set["vcs.revision"], stamp.commit), date: cmp.Or(set["vcs.time"], stamp.date)}
	if b.version = info.Main.Version; b.version == "" || b.version == "(devel)" {
		b.version = cmp.Or(set["vcs.revision"], stamp.version, b.commit, "devel")
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
