package server

import (
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/tidemark/tidemark/internal/natsconn"
)

// containerExec returns the command that runs another command in the container of this process, such as "docker
// exec 3f2a9c1b7d4e". It is empty outside of containers of the image.
//
// The image has neither curl nor the nats command, and its ports have other addresses outside.
func containerExec() string {
	host, _ := os.Hostname()
	return execCommand(os.Getenv, func(path string) bool { _, err := os.Stat(path); return err == nil }, host)
}

// containerID matches the default hostname of a container.
var containerID = regexp.MustCompile(`^[0-9a-f]{12}$`)

func execCommand(getenv func(string) string, exists func(path string) bool, host string) string {
	if exists("/bin/sh") {
		return "" // the container is for work in it, and not of the image
	}
	if getenv("KUBERNETES_SERVICE_HOST") != "" {
		return "kubectl exec " + host + " --" // the hostname is the name of the pod
	}
	if !containerID.MatchString(host) {
		host = "CONTAINER"
	}
	switch {
	case exists("/run/.containerenv"):
		return "podman exec " + host
	case exists("/.dockerenv"):
		return "docker exec " + host
	}
	return ""
}

// writeContainerBanner is [Server.WriteBanner] for a node in a container.
func (s *Server) writeContainerBanner(w io.Writer, exec string) error {
	base := s.baseURL()
	_, err := fmt.Fprintf(w, "\nTidemark serves %s in this container; from outside, at the address that is published for it\n%s\n\n%s%s\n",
		base, s.natsLine(), s.containerCommands(base, exec), s.opts.identityHint())
	return err
}

// containerCommands returns the commands to type first outside of this node's container. They run in the
// container, so that they do not depend on published ports, and use the tidemark command alone, as the image has
// no other.
func (s *Server) containerCommands(base, exec string) string {
	to := s.opts.example()
	hints := fmt.Sprintf("  listen   %s tidemark subscribe '%s%s%s'\n  publish  %s tidemark publish %s hi%s\n",
		exec, base, to.path, to.query, exec, to.subject, s.containerNATSFlag())
	if s.admin != nil {
		hints += fmt.Sprintf("  operate  %s tidemark status http://%s\n", exec, dialAddr(s.AdminAddr()))
	}
	return hints + fmt.Sprintf("  check    %s tidemark doctor\n", exec)
}

// containerNATSFlag returns the flag that `tidemark publish` needs in the node's container, where it has the
// environment of the node but not its flags.
func (s *Server) containerNATSFlag() string {
	url := natsconn.WithoutLogin(s.opts.NATS.URL)
	if s.nats.embedded != nil {
		url = s.nats.embedded.ClientURL()
	}
	if url == "nats://127.0.0.1:4222" || os.Getenv("TIDEMARK_NATS_URL") != "" || os.Getenv("TIDEMARK_CONFIG") != "" {
		return ""
	}
	return " --nats.url " + url
}
