package config

import (
	"os"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// Options are the sources of the configuration. The zero value reads the environment of the process only.
type Options struct {
	// File is a YAML file. When empty, --config of Flags and then TIDEMARK_CONFIG name it;
	// without any there is no file.
	File string
	// Flags are those of BindFlags, parsed; only flags that are set count.
	Flags *pflag.FlagSet
	// Environ is the environment as KEY=value; os.Environ() when nil.
	Environ []string
	// Serve is for the process that starts the embedded server: NATS_URL and the like replace that server
	// only where nothing shows that it is in use.
	Serve bool
	// Unchecked skips Validate, for a program that uses only a few values: the flags of another process
	// may differ in the rest.
	Unchecked bool
}

// Load returns the configuration, or all of its problems as one joined error.
func Load(opts Options) (Config, error) {
	if opts.Environ == nil {
		opts.Environ = os.Environ()
	}
	var p problems
	cfg := Default()
	if err := configKeys.load(&cfg, opts, &p); err != nil {
		return Config{}, err
	}
	cfg.NATS.fromEnvironment(opts.Environ, opts.Serve, &p)
	if len(cfg.NATS.Embedded.Users) > 0 {
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

// load sets the keys of target, which has the defaults, from the file, the environment and the flags. Its
// error is that of the file; problems of keys are added to p.
func (keys keySet) load(target any, opts Options, p *problems) error {
	env := keys.readEnv(opts.Environ, p)
	file, err := keys.readFile(fileName(opts, env), p)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if value, ok := file[k.name]; ok && k.fileOnly() {
			k.readEntries(k.field(target), value, p)
			delete(file, k.name)
		}
	}
	v, err := keys.layers(opts.Flags, env, file, p)
	if err != nil {
		return err
	}
	for _, k := range keys.scalars() {
		if err := k.assign(k.field(target), v.Get(k.name)); err != nil {
			p.add(k.name, "%w", err)
		}
	}
	return nil
}

// layers puts one source over the other, and records the origin of each key.
func (keys keySet) layers(flags *pflag.FlagSet, env, file map[string]any, p *problems) (*viper.Viper, error) {
	v := viper.New()
	for _, k := range keys.scalars() {
		v.SetDefault(k.name, k.def)
	}
	for _, layer := range []map[string]any{file, env} {
		if err := v.MergeConfigMap(layer); err != nil {
			return nil, err
		}
	}
	for _, k := range keys.scalars() {
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
