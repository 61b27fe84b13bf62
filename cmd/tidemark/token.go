package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/jsapi"
	"github.com/tidemark/tidemark/internal/natserr"
	"github.com/tidemark/tidemark/internal/revocation"
	"github.com/tidemark/tidemark/pkg/auth"
)

func newToken() *cobra.Command {
	return group(&cobra.Command{
		Use:   "token",
		Short: "Create API keys, and revoke grants",
	}, newTokenKey(), newTokenRevoke())
}

func newTokenKey() *cobra.Command {
	return &cobra.Command{
		Use:   "key NAME SUBJECT...",
		Short: "Create an API key for publishing, presence or administration",
		Long: `Create an API key that may publish to subjects (wildcards allowed). +presence, with or without subjects,
grants access to the presence API (GET /connections), and +admin to the admin API. The key is printed to
standard output, and its line for the file of publish.keys to standard error: the file contains only a
hash, and the key is not shown again.`,
		Example: `  tidemark token key billing 'notifications.user.*' 2>> keys.txt
  tidemark token key operations +presence 2>> keys.txt
  curl -H "Authorization: Bearer $KEY" http://127.0.0.1:8080/publish -d '{"subject":"notifications.user.42","data":"hi"}'`,
		Args: arguments(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, line, err := auth.NewAPIKey(args[0], args[1:]...)
			if err != nil {
				return usageError{err}
			}
			if _, err := fmt.Fprintln(cmd.ErrOrStderr(), line); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), key)
			return err
		},
	}
}

func newTokenRevoke() *cobra.Command {
	var rev auth.Revocation
	cmd := &cobra.Command{
		Use:   "revoke",
		Short: "Close the connections of a user or a token on all nodes, and reject its tokens",
		Long: `Close the connections of a user or a token on all nodes, and reject the tokens that were issued up to now.
The stream TIDEMARK_REVOCATIONS stores the revocation for auth.jwt.max_lifetime, or for a day if that is
not set: tokens should not be valid for longer. The command fails if the revocation is not stored.`,
		Example: `  tidemark token revoke --user 42
  tidemark token revoke --id 0d9f7a1e --nats.url nats://nats.example.com:4222`,
		Args: arguments(cobra.NoArgs),
	}
	cmd.Flags().StringVar(&rev.User, "user", "", "revoke the grants of this `user`")
	cmd.Flags().StringVar(&rev.Token, "id", "", "revoke the token with this `jti`, or the API key of this name")
	return configured(cmd, func(cmd *cobra.Command, _ []string, cfg config.Config) error {
		if rev == (auth.Revocation{}) {
			return usageError{errors.New("name a --user or an --id")}
		}
		if err := rev.Check(); err != nil {
			return usageError{err}
		}
		return revoke(cmd.Context(), cfg, rev, cmd.OutOrStdout())
	})
}

func revoke(ctx context.Context, cfg config.Config, rev auth.Revocation, out io.Writer) error {
	body, err := json.Marshal(rev)
	if err != nil {
		return err
	}
	nc, err := connectPrivately(ctx, cfg)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jsapi.New(nc, cfg.NATS.Domain, cfg.NATS.APIPrefix)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, natsTimeout)
	defer cancel()
	err = natserr.Permitted(ctx, nc, func(ctx context.Context) error { return revocation.Store(ctx, js, rev) })
	if err != nil {
		return natserr.LacksPermission(err)
	}
	_, err = fmt.Fprintf(out, "revoked %s\n", body)
	return err
}
