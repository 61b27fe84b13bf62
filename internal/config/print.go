package config

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// redacted stands in the place of a secret that is set.
const redacted = "REDACTED"

// Print writes the configuration as YAML that Load reads, with secrets redacted: passwords, tokens
// and hashes of passwords, also those within nats.url. Load refuses a hash that is redacted.
func (c Config) Print(w io.Writer) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, k := range keys {
		put(root, strings.Split(k.name, "."), c.value(k))
		// Where the reference has them: between the streams and what is said about them.
		switch k.name {
		case "streams.apply":
			putFeeds(root, c.Feeds)
		case "nats.embedded.account":
			putUsers(root, c.NATS.Embedded.Users)
		}
	}
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return err
	}
	return enc.Close()
}

func (c Config) value(k key) any {
	switch v := k.field(&c).(type) {
	case *bool:
		return *v
	case *int:
		return *v
	case *[]string:
		return *v
	}
	s := text(k.field(&c))
	if k.secret && s != "" {
		return redacted
	}
	return redactURLs(s)
}

// text is a field's value as a file, variable or flag would say it.
func text(field any) string {
	switch v := field.(type) {
	case *string:
		return *v
	case *time.Duration:
		return durationText(*v)
	case *[]string:
		return strings.Join(*v, ",")
	case *bool:
		return fmt.Sprint(*v)
	case *int:
		return fmt.Sprint(*v)
	}
	return fmt.Sprint(field)
}

// redactURLs redacts the logins of URLs by comma, whatever the key, and the values of their queries,
// which may be tokens. Text that is not a URL stays as it is.
func redactURLs(urls string) string {
	parts := strings.Split(urls, ",")
	for i, part := range parts {
		parts[i] = redactURL(part)
	}
	return strings.Join(parts, ",")
}

func redactURL(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok && !strings.Contains(url, "@") {
		return url
	}
	if !ok {
		scheme, rest = "", url // nats.url takes user:password@host
	} else {
		scheme += "://"
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 { // a password may hold a slash or a question mark
		scheme, rest = scheme+redacted, rest[at:]
	}
	base, query, hasQuery := strings.Cut(rest, "?")
	url = scheme + base
	if hasQuery {
		pairs := strings.Split(query, "&")
		for i, pair := range pairs {
			if name, _, ok := strings.Cut(pair, "="); ok {
				pairs[i] = name + "=" + redacted
			}
		}
		url += "?" + strings.Join(pairs, "&")
	}
	return url
}

func putFeeds(root *yaml.Node, feeds map[string]Feed) {
	if len(feeds) == 0 {
		put(root, []string{"feeds"}, map[string]any{})
	}
	for _, name := range slices.Sorted(maps.Keys(feeds)) {
		f := feeds[name]
		at := func(field string) []string { return []string{"feeds", name, field} }
		put(root, at("paths"), f.Paths)
		put(root, at("stream"), f.Stream)
		put(root, at("subjects"), f.Subjects)
		put(root, at("allow"), f.Allow)
		put(root, at("replay"), string(f.Replay))
	}
}

func putUsers(root *yaml.Node, users []EmbeddedUser) {
	list := make([]map[string]any, len(users))
	for i, u := range users {
		list[i] = map[string]any{"name": u.Name, "password_hash": redacted, "publish": u.Publish, "subscribe": u.Subscribe}
	}
	put(root, strings.Split(usersKey, "."), list)
}

// put adds a value below the mappings of path, which it creates in order.
func put(node *yaml.Node, path []string, value any) {
	if len(path) > 1 {
		put(child(node, path[0]), path[1:], value)
		return
	}
	if err := child(node, path[0]).Encode(value); err != nil { //nolint:gosec // a path has a name at least
		panic(err) // only strings, numbers, booleans, and lists and mappings of them come here
	}
}

// child returns the value of a key; a mapping's content is its keys and values by turns.
func child(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	name, value := new(yaml.Node), &yaml.Node{Kind: yaml.MappingNode}
	name.SetString(key)
	mapping.Content = append(mapping.Content, name, value)
	return value
}
