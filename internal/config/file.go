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

// readFile returns the settings of a file, by key. A key without a value is not set.
func (keys keySet) readFile(name string, p *problems) (map[string]any, error) {
	if name == "" {
		return nil, nil
	}
	tree, err := readYAML(name)
	if err != nil {
		return nil, fmt.Errorf("the configuration file %s: %w", name, err)
	}
	values := make(map[string]any)
	keys.flatten("", tree, values)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		p.from(key, name)
		if !keys.checkKey(key, values[key], p) || values[key] == nil {
			delete(values, key)
		}
	}
	return values, nil
}

// readYAML reads JSON too, which is YAML. The parser reports a repeated key as an error.
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

// maskYAML removes values from errors of the parser, because they may be secrets.
func maskYAML(text string) string {
	return yamlValues.ReplaceAllStringFunc(text, func(value string) string {
		if strings.Contains(value, "anchor") {
			return " anchor (write a value that begins with * in quotes)"
		}
		return ""
	})
}

// secretAbove returns the secret that a key is below; empty if there is none.
func (keys keySet) secretAbove(key string) string {
	for _, k := range keys {
		if k.secret == tagValue && strings.HasPrefix(key, k.name+".") {
			return k.name
		}
	}
	return ""
}

// flatten puts the values of a tree by key; a map or a list of structs is one value.
func (keys keySet) flatten(prefix string, tree, into map[string]any) {
	for name, value := range tree {
		k, _ := keys.find(prefix + name)
		if sub, ok := value.(map[string]any); ok && !k.fileOnly() {
			keys.flatten(prefix+name+".", sub, into)
			continue
		}
		into[prefix+name] = value
	}
}

func (keys keySet) checkKey(key string, value any, p *problems) (known bool) {
	names := keys.names()
	if secret := keys.secretAbove(key); secret != "" { // the name below it may be the secret
		p.from(secret, p.origin(key))
		p.add(secret, "the value is not a string; write it in quotes")
		return false
	}
	switch {
	case slices.Contains(names, key):
		return true
	case slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, key+".") }):
		if value != nil {
			p.add(key, "it must be a mapping of keys, not a value")
		}
	default:
		p.add(key, "there is no such key%s", didYouMeanKey(key, names))
	}
	return false
}
