package config

import "net/url"

func (t Traces) validate(p *problems) {
	if t.Endpoint == "" {
		return
	}
	u, err := url.Parse(t.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path == "" || u.Path == "/" {
		p.add("traces.endpoint", "%q is not the URL of a collector with its path; write one such as http://127.0.0.1:4318/v1/traces", t.Endpoint)
	}
}

func (l Log) validate(p *problems) {
	oneOf(p, "log.level", l.Level, "trace", "debug", "info", "warn", "error")
	oneOf(p, "log.format", l.Format, "auto", "json", "console")
	oneOf(p, "log.users", l.Users, "plain", "hash", "off")
	if l.UsersKey != "" && l.Users != "hash" {
		p.add("log.users_key", "it is not used, as log.users is not hash; set that too, or drop this")
	}
}
