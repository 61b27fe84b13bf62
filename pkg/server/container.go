package server

import (
	"os"
	"regexp"
)

// containerExec returns the command that runs another command in the container of this process, such
// as "docker exec 3f2a9c1b7d4e"; empty outside of containers of the image.
//
// The image has neither curl nor the nats command, and its ports have other addresses outside.
func containerExec() string {
	host, _ := os.Hostname()
	return execCommand(os.Getenv, func(path string) bool { _, err := os.Stat(path); return err == nil }, host)
}

// containerID is the hostname that engines give to a container without one.
var containerID = regexp.MustCompile(`^[0-9a-f]{12}$`)

func execCommand(getenv func(string) string, exists func(path string) bool, host string) string {
	if exists("/bin/sh") {
		return "" // a container to work in, not the image
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
