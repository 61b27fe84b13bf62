package config

import (
	"regexp"
	"strings"
)

// readEnv returns the settings of an environment by key. An empty variable counts as not set, because
// compose files and charts pass on variables without a value.
func (keys keySet) readEnv(environ []string, p *problems) map[string]any {
	known := map[string]string{EnvPrefix + "CONFIG": fileKey}
	names := []string{EnvPrefix + "CONFIG"}
	for _, k := range keys.scalars() {
		known[k.env()] = k.name
		names = append(names, k.env())
	}
	values := make(map[string]any)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, EnvPrefix) || isServiceLink(name, value) {
			continue
		}
		key, ok := known[name]
		switch {
		case !ok:
			p.add(name, "there is no such variable%s", keys.envHint(name, names))
		case value != "":
			values[key] = value
		}
	}
	return values
}

func (keys keySet) envHint(name string, known []string) string {
	for _, k := range keys {
		if k.fileOnly() && strings.HasPrefix(name, k.env()) {
			return "; " + k.name + " can be set in the file only"
		}
	}
	return didYouMeanKey(name, known)
}

// serviceLink matches what Kubernetes and container links put into the environment of every container for
// a service that is called tidemark or tidemark-something.
var serviceLink = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)$`)

func isServiceLink(name, value string) bool {
	return serviceLink.MatchString(name) || strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://")
}
