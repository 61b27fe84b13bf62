package config

import "github.com/spf13/pflag"

// fileKey is the one flag and variable that is no key of the file: it names the file.
const fileKey = "config"

// BindFlags adds --config and a flag for every scalar key that is not a secret, such as
// --http.addr. The values are checked by Load, so that all problems come together.
func BindFlags(flags *pflag.FlagSet) {
	flags.String(fileKey, "", "configuration `file` (YAML)")
	defaults := Default()
	for _, k := range keys {
		if k.secret {
			continue
		}
		flags.String(k.name, text(k.field(&defaults)), k.usage)
		if _, isBool := k.field(&defaults).(*bool); isBool {
			flags.Lookup(k.name).NoOptDefVal = "true"
		}
	}
}
