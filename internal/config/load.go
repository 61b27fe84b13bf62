package config

import (
	"os"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// Options say where the configuration comes from. The zero value reads the process's
// environment alone.
type Options struct {
	// File is a YAML file. When empty, --config of Flags and then TIDEMARK_CONFIG name it;
	// without any there is no file.
	File string
	// Flags are those of BindFlags, parsed; only flags that were given count.
	Flags *pflag.FlagSet
	// Environ is the environment as KEY=value; os.Environ() when nil.
	Environ []string
	// Serve is for the process that starts the embedded server: NATS_URL and its kin replace that
	// only where nothing says that it is in use.
	Serve bool
	// Unchecked leaves out whether the values can work together (Validate), for who needs a few
	// of them: how another process was started may differ in the rest.
	Unchecked bool
}

// Load returns the configuration, or every problem that it has as one joined error.
func Load(opts Options) (Config, error) {
	if opts.Environ == nil {
		opts.Environ = os.Environ()
	}
	var p problems
	env := readEnv(opts.Environ, &p)
	file, err := readFile(fileName(opts, env), &p)
	if err != nil {
		return Config{}, err
	}
	v, err := layers(opts.Flags, env, file.values, &p)
	if err != nil {
		return Config{}, err
	}
	cfg := Default()
	for _, k := range keys {
		if err := assign(k.field(&cfg), v.Get(k.name)); err != nil {
			p.add(k.name, "%w", err)
		}
	}
	cfg.NATS.fromEnvironment(opts.Environ, opts.Serve, &p)
	if file.feeds != nil {
		cfg.Feeds = file.feeds
	}
	if len(file.users) > 0 {
		cfg.NATS.Embedded.Users = file.users
		cfg.NATS.Source.UsersFile = p.origin(usersKey)
	}
	if !opts.Unchecked {
		cfg.validate(&p, opts.Serve)
	}
	if err := p.err(); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// layers puts one source over the other, and notes where each key comes from.
func layers(flags *pflag.FlagSet, env, file map[string]any, p *problems) (*viper.Viper, error) {
	v := viper.New()
	defaults := Default()
	for _, k := range keys {
		v.SetDefault(k.name, text(k.field(&defaults)))
	}
	for _, layer := range []map[string]any{file, env} {
		if err := v.MergeConfigMap(layer); err != nil {
			return nil, err
		}
	}
	for _, k := range keys {
		if _, ok := env[k.name]; ok {
			p.from(k.name, k.env())
		}
		if err := bindFlag(v, flags, k, p); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func bindFlag(v *viper.Viper, flags *pflag.FlagSet, k key, p *problems) error {
	if flags == nil {
		return nil
	}
	flag := flags.Lookup(k.name)
	if flag == nil {
		return nil
	}
	if flag.Changed {
		p.from(k.name, "--"+k.name)
	}
	return v.BindPFlag(k.name, flag)
}

func fileName(opts Options, env map[string]any) string {
	if opts.File != "" {
		return opts.File
	}
	if opts.Flags != nil {
		if flag := opts.Flags.Lookup(fileKey); flag != nil && flag.Value.String() != "" {
			return flag.Value.String()
		}
	}
	name, _ := env[fileKey].(string)
	return name
}
