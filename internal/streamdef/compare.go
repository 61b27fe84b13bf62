package streamdef

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Difference is one field with another value than its definition. Field is its name in the JSON
// of `nats stream info --json`; values that are not set are empty.
type Difference struct {
	Field string `json:"field"`
	Want  string `json:"want"`
	Have  string `json:"have"`
}

func (d Difference) String() string {
	return d.Field + ": want " + cmp.Or(d.Want, "none") + ", have " + cmp.Or(d.Have, "none")
}

// Compare returns the differences between have and want, by the names of fields. Fields that want does not
// set count as the server's default, and the server's own metadata (_nats.*) and the mark
// of ProvisionOwned are ignored, so that a stream that was just created from want shows no difference.
func Compare(want, have jetstream.StreamConfig) []Difference {
	w, h := fields(filled(want, have)), fields(filled(have, have))
	names := maps.Clone(w)
	maps.Copy(names, h)
	var diffs []Difference
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if w[name] != h[name] {
			diffs = append(diffs, Difference{Field: name, Want: w[name], Have: h[name]})
		}
	}
	return diffs
}

// filled returns cfg with the defaults of the server, as its checkStreamCfg sets them.
// Defaults that depend on the server are taken from have.
func filled(cfg, have jetstream.StreamConfig) jetstream.StreamConfig {
	cfg.MaxConsumers = limit(cfg.MaxConsumers)
	cfg.MaxMsgs = limit(cfg.MaxMsgs)
	cfg.MaxBytes = limit(cfg.MaxBytes)
	cfg.MaxMsgsPerSubject = limit(cfg.MaxMsgsPerSubject)
	cfg.MaxMsgSize = limit(cfg.MaxMsgSize)
	cfg.Replicas = cmp.Or(cfg.Replicas, 1)
	cfg.Duplicates = cmp.Or(cfg.Duplicates, have.Duplicates)
	if cfg.FirstSeq == 1 {
		cfg.FirstSeq = 0
	}
	if cfg.Mirror != nil {
		cfg.MirrorDirect = have.MirrorDirect
	} else if len(cfg.Subjects) == 0 && len(cfg.Sources) == 0 {
		cfg.Subjects = []string{cfg.Name}
	}
	if cfg.SubjectDeleteMarkerTTL > 0 || cfg.AllowMsgSchedules {
		cfg.AllowMsgTTL = cfg.AllowMsgTTL || cfg.SubjectDeleteMarkerTTL > 0
		if !cfg.AllowRollup {
			cfg.AllowRollup, cfg.DenyPurge = true, false
		}
	}
	cfg.Subjects = slices.Sorted(slices.Values(cfg.Subjects))
	cfg.Metadata = ownMetadata(cfg.Metadata)
	return cfg
}

// limit returns -1 for every value that the server treats as no limit.
func limit[T int | int32 | int64](n T) T {
	if n <= 0 {
		return -1
	}
	return n
}

// ownMetadata returns the metadata that a definition may set: without the keys of the server and of ProvisionOwned.
func ownMetadata(metadata map[string]string) map[string]string {
	own := maps.Clone(metadata)
	maps.DeleteFunc(own, func(key, _ string) bool { return key == createdByKey || strings.HasPrefix(key, "_nats.") })
	return own
}

// fields returns the values of cfg by their JSON names, those that are not set left out.
func fields(cfg jetstream.StreamConfig) map[string]string {
	raw := make(map[string]json.RawMessage)
	body, err := json.Marshal(cfg)
	if err == nil {
		err = json.Unmarshal(body, &raw)
	}
	if err != nil { // an enum out of its range
		return map[string]string{"name": cfg.Name + ": " + err.Error()}
	}
	values := make(map[string]string, len(raw))
	for name, value := range raw {
		if text := display(name, value); text != "" {
			values[name] = text
		}
	}
	return values
}

func display(name string, value json.RawMessage) string {
	text := string(value)
	switch text {
	case "null", "false", "{}", "[]", `""`:
		return ""
	}
	if s, err := strconv.Unquote(text); err == nil {
		return s
	}
	switch name {
	case "max_age", "duplicate_window", "subject_delete_marker_ttl":
		if ns, err := strconv.ParseInt(text, 10, 64); err == nil {
			return time.Duration(ns).String()
		}
	}
	return text
}
