package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// fileValues is what a file sets: scalars by key, and feeds and users, nil when it has none.
type fileValues struct {
	values map[string]any
	feeds  map[string]Feed
	users  []EmbeddedUser // of nats.embedded
}

func readFile(name string, p *problems) (fileValues, error) {
	if name == "" {
		return fileValues{}, nil
	}
	tree, err := readYAML(name)
	if err != nil {
		return fileValues{}, fmt.Errorf("the configuration file %s: %w", name, err)
	}
	file := fileValues{values: make(map[string]any)}
	if feeds := tree["feeds"]; feeds != nil {
		p.from("feeds", name)
		file.feeds = readFeeds(feeds, p)
	}
	delete(tree, "feeds")
	flatten("", tree, file.values)
	if users := file.values[usersKey]; users != nil {
		p.from(usersKey, name)
		file.users = readUsers(users, p)
	}
	delete(file.values, usersKey)
	for _, key := range slices.Sorted(maps.Keys(file.values)) {
		p.from(key, name)
		// A key with nothing behind it is not set.
		if !checkKey(key, file.values[key], p) || file.values[key] == nil {
			delete(file.values, key)
		}
	}
	return file, nil
}

// readYAML also takes JSON, which is YAML. A key that stands twice is an error of the parser.
func readYAML(name string) (map[string]any, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var tree map[string]any
	dec := yaml.NewDecoder(f)
	if err := dec.Decode(&tree); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.New(maskYAML(strings.TrimPrefix(err.Error(), "yaml: ")))
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one YAML document")
	}
	return tree, nil
}

var yamlValues = regexp.MustCompile("(?s) ?(`.*`|anchor '[^']*')")

// maskYAML leaves out the values that errors of the parser repeat, which may be secrets.
func maskYAML(text string) string {
	return yamlValues.ReplaceAllStringFunc(text, func(value string) string {
		if strings.Contains(value, "anchor") {
			return " anchor (write a value that begins with * in quotes)"
		}
		return ""
	})
}

// secretAbove returns the key of a secret that a key is below; empty if there is none.
func secretAbove(key string) string {
	for _, k := range keys {
		if k.secret && strings.HasPrefix(key, k.name+".") {
			return k.name
		}
	}
	return ""
}

func flatten(prefix string, tree map[string]any, into map[string]any) {
	for name, value := range tree {
		if sub, ok := value.(map[string]any); ok {
			flatten(prefix+name+".", sub, into)
			continue
		}
		into[prefix+name] = value
	}
}

func checkKey(key string, value any, p *problems) (known bool) {
	names := keyNames()
	if secret := secretAbove(key); secret != "" { // what is below it may be the secret
		p.from(secret, p.origin(key))
		p.add(secret, "the value is not a string; write it in quotes")
		return false
	}
	switch {
	case slices.Contains(names, key):
		return true
	case slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, key+".") }):
		if value != nil {
			p.add(key, "a value stands where a mapping of keys belongs")
		}
	default:
		p.add(key, "there is no such key%s", DidYouMean(key, append(names, "feeds", usersKey)))
	}
	return false
}
