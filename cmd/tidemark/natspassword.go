package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/term"
)

// passwordCost is that of the nats command; a login takes a tenth of a second or more.
const passwordCost = 11

// maxPassword is the longest password that bcrypt can hash, in bytes.
const maxPassword = 72

func newNATSPassword() *cobra.Command {
	var generate bool
	cmd := &cobra.Command{
		Use:   "nats-password",
		Short: "Hash a password for nats.embedded.users",
		Long: `Hash a password with bcrypt, for nats.embedded.users or a nats-server configuration file. The password is
read from the terminal, or from the first line of standard input. The hash is printed to standard output.
With --generate the command generates the password, and prints it to standard error.`,
		Example: `  tidemark nats-password
  tidemark nats-password --generate
  printf %s "$PASSWORD" | tidemark nats-password`,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, err := choosePassword(generate, cmd.InOrStdin(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			hash, err := bcrypt.GenerateFromPassword([]byte(password), passwordCost)
			if err != nil {
				return err
			}
			if generate {
				if _, err := fmt.Fprintln(cmd.ErrOrStderr(), password); err != nil {
					return err
				}
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), string(hash))
			return err
		},
	}
	cmd.Flags().BoolVar(&generate, "generate", false, "generate the password, and print it to standard error")
	return cmd
}

func choosePassword(generate bool, in io.Reader, prompt io.Writer) (string, error) {
	if generate {
		return rand.Text(), nil
	}
	password, err := readPassword(in, prompt)
	switch {
	case err != nil:
		return "", err
	case password == "":
		return "", errors.New("the password is empty; type one, or use --generate")
	case len(password) > maxPassword:
		return "", fmt.Errorf("the password has %d bytes, and bcrypt hashes at most %d; choose a shorter one", len(password), maxPassword)
	}
	return password, nil
}

// readPassword reads a password twice at a terminal, without showing it.
func readPassword(in io.Reader, prompt io.Writer) (string, error) {
	file, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		line, err := bufio.NewReader(in).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	var typed [2]string
	for i, text := range []string{"Password: ", "Again: "} {
		if _, err := fmt.Fprint(prompt, text); err != nil {
			return "", err
		}
		line, err := term.ReadPassword(int(file.Fd()))
		if err != nil {
			return "", err
		}
		typed[i] = string(line)
		if _, err := fmt.Fprintln(prompt); err != nil {
			return "", err
		}
	}
	if typed[0] != typed[1] {
		return "", errors.New("the two passwords differ; try again")
	}
	return typed[0], nil
}
