package config

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// redacted replaces a secret that is set.
const redacted = "REDACTED"

// Print writes the configuration as YAML for Load, with redacted secrets. Secrets are passwords, tokens and
// hashes of passwords, also those within nats.url. Load rejects a redacted hash.
func (c Config) Print(w io.Writer) error { return configKeys.print(w, &c) }

func (keys keySet) print(w io.Writer, target any) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	keys.put(root, nil, target)
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return err
	}
	return enc.Close()
}

// put adds the values of target below the mappings of path.
func (keys keySet) put(root *yaml.Node, path []string, target any) {
	for _, k := range keys {
		at := append(slices.Clone(path), strings.Split(k.name, ".")...)
		if k.fileOnly() {
			k.putEntries(root, at, reflect.ValueOf(k.field(target)).Elem())
			continue
		}
		put(root, at, k.value(target))
	}
}

func (k key) putEntries(root *yaml.Node, path []string, v reflect.Value) {
	if v.Len() == 0 {
		put(root, path, v.Interface())
		return
	}
	if v.Kind() == reflect.Map {
		for _, name := range sortedKeys(v) {
			keySet(k.entries).put(root, append(slices.Clone(path), name), mapEntry(v, name))
		}
		return
	}
	list := make([]*yaml.Node, v.Len())
	for i := range list {
		list[i] = &yaml.Node{Kind: yaml.MappingNode}
		keySet(k.entries).put(list[i], nil, v.Index(i).Addr().Interface())
	}
	put(root, path, list)
}

// value returns the output of Print for a key.
func (k key) value(target any) any {
	switch v := k.field(target).(type) {
	case *bool:
		return *v
	case *int:
		return *v
	case *[]string:
		return *v
	case *Share:
		return float64(*v)
	case *Size:
		if *v < KiB {
			return int64(*v)
		}
	}
	s := text(k.field(target))
	if k.secret == tagValue && s != "" {
		return redacted
	}
	return redactURLs(s)
}

// text is a value as a variable or a flag writes it.
func text(field any) string {
	switch v := field.(type) {
	case *time.Duration:
		return durationText(*v)
	case *[]string:
		return strings.Join(*v, ",")
	case fmt.Stringer:
		return v.String()
	}
	return fmt.Sprint(reflect.ValueOf(field).Elem().Interface())
}

// redactURLs redacts the logins and the query values of URLs, by comma, in the value of any key: both may be
// secrets. It does not change other text.
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

// put adds a value below the mappings of path, and creates the missing ones.
func put(node *yaml.Node, path []string, value any) {
	if len(path) > 1 {
		put(child(node, path[0]), path[1:], value)
		return
	}
	if err := child(node, path[0]).Encode(value); err != nil {
		panic(err) // only strings, numbers, booleans, and lists of them and of mappings
	}
}

// child returns the value of a key. The content of a mapping is its keys and values in turn.
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
