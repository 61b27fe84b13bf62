package config

func (l Log) validate(p *problems) {
	oneOf(p, "log.level", l.Level, "trace", "debug", "info", "warn", "error")
	oneOf(p, "log.format", l.Format, "auto", "json", "console")
	oneOf(p, "log.users", l.Users, "plain", "hash", "off")
	if l.UsersKey != "" && l.Users != "hash" {
		p.add("log.users_key", "it is not used, as log.users is not hash; set that too, or drop this")
	}
}
