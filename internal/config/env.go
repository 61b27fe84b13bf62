package config

import (
	"regexp"
	"strings"
)

// readEnv returns the settings of an environment by key. An empty variable counts as not
// set, as compose files and charts pass on variables that nobody gave a value.
func readEnv(environ []string, p *problems) map[string]any {
	known := map[string]string{EnvPrefix + "CONFIG": fileKey}
	names := []string{EnvPrefix + "CONFIG"}
	for _, k := range keys {
		known[k.env()] = k.name
		names = append(names, k.env())
	}
	values := make(map[string]any)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, EnvPrefix) || orchestrators(name, value) {
			continue
		}
		key, ok := known[name]
		switch {
		case !ok:
			p.add(name, "there is no such variable%s", envHint(name, names))
		case value != "":
			values[key] = value
		}
	}
	return values
}

func envHint(name string, known []string) string {
	if strings.HasPrefix(name, EnvPrefix+"FEEDS") {
		return "; feeds are set in the file alone"
	}
	if strings.HasPrefix(name, EnvPrefix+"NATS_EMBEDDED_USERS") {
		return "; users of the embedded server are set in the file alone"
	}
	return DidYouMean(name, known)
}

// serviceLink is what Kubernetes and container links put into the environment of every
// container beside a service that is called tidemark or tidemark-something.
var serviceLink = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)$`)

func orchestrators(name, value string) bool {
	return serviceLink.MatchString(name) || strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://")
}
