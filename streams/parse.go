package streams

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/nats-io/nats.go/jetstream"
)

// serverMetadata is the prefix of metadata keys added by a server.
const serverMetadata = "_nats."

// configKeys are the keys of a stream configuration. encoding/json would also accept other capitalization,
// which the nats command rejects.
var configKeys = jsonKeys(reflect.TypeFor[jetstream.StreamConfig]())

// reportKeys are the other keys in the output of `nats stream info --json`.
var reportKeys = []string{
	"alternates", "cluster", "config", "created", "domain", "limit", "mirror", "offset",
	"sources", "state", "total", "ts", "type",
}

// Parse parses one definition. Errors contain the source and the key.
func Parse(source string, data []byte) (Definition, error) {
	cfg, err := parse(data)
	if err != nil {
		var errs []error
		for _, e := range unjoin(err) {
			errs = append(errs, fmt.Errorf("%s: %w", source, e))
		}
		return Definition{}, errors.Join(errs...)
	}
	return Definition{Name: cfg.Name, Source: source, Config: cfg}, nil
}

func unjoin(err error) []error {
	if err == nil {
		return nil
	}
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return all.Unwrap()
	}
	return []error{err}
}

func parse(data []byte) (jetstream.StreamConfig, error) {
	top, err := object(data)
	if err != nil {
		return jetstream.StreamConfig{}, err
	}
	if inner, isReport := top["config"]; isReport {
		if err := unknown(top, reportKeys); err != nil {
			return jetstream.StreamConfig{}, err
		}
		if top, err = object(inner); err != nil {
			return jetstream.StreamConfig{}, fmt.Errorf("config: %w", err)
		}
	}
	return decode(top)
}

// decode decodes key by key, because most errors of encoding/json do not contain the key.
func decode(keys map[string]json.RawMessage) (jetstream.StreamConfig, error) {
	var cfg jetstream.StreamConfig
	errs := unjoin(unknown(keys, configKeys))
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !slices.Contains(configKeys, key) {
			continue
		}
		if err := decodeKey(&cfg, key, keys[key]); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	if err := checkName(cfg.Name); err != nil {
		errs = append(errs, fmt.Errorf("name: %w", err))
	}
	cfg.Metadata = withoutServerKeys(cfg.Metadata)
	return cfg, errors.Join(errs...)
}

func decodeKey(cfg *jetstream.StreamConfig, key string, value json.RawMessage) error {
	one, err := json.Marshal(map[string]json.RawMessage{key: value})
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(one))
	dec.DisallowUnknownFields()
	err = dec.Decode(cfg)
	if typ, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("a JSON %s does not fit here, it must be %s", typ.Value, kind(typ.Type))
	}
	if err != nil {
		return errors.New(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "json: "), "nats: "))
	}
	return nil
}

func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map, reflect.Pointer:
		return "an object"
	}
	if t.String() == "time.Duration" {
		return "a whole number of nanoseconds"
	}
	return "a whole number within the range of " + t.Kind().String()
}

// object parses data as exactly one JSON object.
func object(data []byte) (map[string]json.RawMessage, error) {
	var keys map[string]json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&keys); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	if keys == nil {
		return nil, errors.New("not a JSON object but null")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after the JSON object; one file defines one stream")
	}
	return keys, nil
}

func unknown(keys map[string]json.RawMessage, known []string) error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !slices.Contains(known, key) {
			errs = append(errs, fmt.Errorf("%s: a stream configuration has no such key", key))
		}
	}
	return errors.Join(errs...)
}

// checkName accepts the names that a server accepts, because a name becomes part of API subjects.
func checkName(name string) error {
	bad := func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune(`.*>/\`, r)
	}
	if name == "" || strings.ContainsFunc(name, bad) {
		return fmt.Errorf(`%q cannot name a stream; it needs one, without spaces and . * > / \`, name)
	}
	return nil
}

func withoutServerKeys(md map[string]string) map[string]string {
	maps.DeleteFunc(md, func(key, _ string) bool { return strings.HasPrefix(key, serverMetadata) })
	if len(md) == 0 {
		return nil
	}
	return md
}

func jsonKeys(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		key, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		keys = append(keys, key)
	}
	return keys
}
