package config

import (
	"strings"

	"github.com/spf13/pflag"
)

// fileKey is the name of the flag and the variable for the file itself.
const fileKey = "config"

// BindFlags adds --config and a flag for every key except secrets, such as --http.addr. Load
// checks the values, so that all problems are reported together.
func BindFlags(flags *pflag.FlagSet) { configKeys.bindFlags(flags) }

func (keys keySet) bindFlags(flags *pflag.FlagSet) {
	flags.String(fileKey, "", "load this configuration `file` (YAML)")
	for _, k := range keys.scalars() {
		if k.secret == tagValue {
			continue
		}
		flags.String(k.name, k.def, quotedUsage.Replace(k.usage))
		if k.def == "true" || k.def == "false" {
			flags.Lookup(k.name).NoOptDefVal = "true"
		}
	}
}

// quotedUsage writes <word> as pflag does. A struct tag cannot contain a back quote.
var quotedUsage = strings.NewReplacer("<", "`", ">", "`")
