package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/subject"
)

func newSubject() *cobra.Command {
	var user string
	var vars []string
	cmd := &cobra.Command{
		Use:   "subject --user ID",
		Short: "Print the subjects at which a user receives events",
		Long: `Print the subjects at which a user receives events, one a line, for the feeds of the configuration.
The user's id becomes one token: the characters . * > % and white space and control characters are
percent-encoded, all others are copied. Producers that publish through NATS must do the same.

Subjects with further variables are printed when --var gives their values.`,
		Example: `  tidemark subject --user alice.b@example.com
  nats pub "$(tidemark subject --user alice.b@example.com)" hi
  tidemark subject --user 42 --var city=paris`,
		Args: arguments(cobra.NoArgs),
	}
	cmd.Flags().StringVar(&user, "user", "", "the user's `id`, as tokens and headers have it")
	cmd.Flags().StringArrayVar(&vars, "var", nil, "a further variable as `name=value`; repeatable")
	return configured(cmd, func(cmd *cobra.Command, _ []string, cfg config.Config) error {
		values, err := variables(user, vars)
		if err != nil {
			return usageError{err}
		}
		subjects, err := subjectsOf(cfg, values)
		if err != nil {
			return err
		}
		for _, s := range subjects {
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), s); err != nil {
				return err
			}
		}
		return nil
	}, "feeds.") // which are set in the file alone: --config is the one flag
}

func variables(user string, pairs []string) (map[string]string, error) {
	if err := subject.CheckValue(user); err != nil {
		return nil, fmt.Errorf("--user %w", err)
	}
	values := config.Pairs(pairs)
	for name, value := range values {
		if err := subject.CheckValue(value); err != nil {
			return nil, fmt.Errorf("--var: the value of %s %w", name, err)
		}
	}
	values["user"] = user
	return values, nil
}

// subjectsOf expands the templates with {user} of all feeds.
func subjectsOf(cfg config.Config, values map[string]string) (subjects []string, err error) {
	for name, f := range cfg.Feeds {
		all, err := templates(name, "subjects", slices.Concat(f.Subjects, f.Allow))
		if err != nil {
			return nil, err
		}
		for _, t := range all {
			if t.HasWildcard() || !slices.Contains(t.Variables(), "user") {
				continue
			}
			s, ok, err := t.Expand(values)
			if err != nil {
				return nil, err
			}
			if ok {
				subjects = append(subjects, s)
			}
		}
	}
	if len(subjects) == 0 {
		return nil, errors.New("no feed has a subject with {user} for which all variables are given (--var); see feeds in the configuration")
	}
	slices.Sort(subjects)
	return slices.Compact(subjects), nil
}

// userSubject returns where `publish --user` publishes.
func userSubject(cfg config.Config, user string) (string, error) {
	if err := subject.CheckValue(user); err != nil {
		return "", usageError{fmt.Errorf("--user %w", err)}
	}
	var all []subject.Template
	for name, f := range cfg.Feeds {
		parsed, err := templates(name, "subjects", f.Subjects)
		if err != nil {
			return "", err
		}
		all = append(all, parsed...)
	}
	t, err := subject.UserTemplate(all)
	if err != nil {
		return "", fmt.Errorf("--user: %w", err)
	}
	s, _, err := t.Expand(map[string]string{"user": user})
	return s, err
}
