package feedhttp

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// jsonField is a field of a JSON object and where its value goes.
type jsonField struct {
	name string
	into any
}

// decodeFields decodes the next value, a JSON object, field by field; null leaves all as they are. It refuses
// input that encoding/json accepts: fields under another spelling or in other letters, and duplicate
// fields, of which encoding/json takes the last. An event could go to another subject, or to all
// users. At most 64 fields.
func decodeFields(dec *json.Decoder, fields ...jsonField) error {
	switch start, err := dec.Token(); {
	case err != nil:
		return err
	case start == nil:
		return nil
	case start != json.Delim('{'):
		return errors.New("an event must be a JSON object")
	}
	for seen := uint64(0); dec.More(); {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string) // the decoder returns nothing else here
		i := slices.IndexFunc(fields, func(f jsonField) bool { return f.name == name })
		switch {
		case i < 0:
			return &fieldError{field: name, reason: "is not known; the fields are " + fieldNames(fields)}
		case seen&(1<<i) != 0:
			return &fieldError{field: name, reason: "appears twice"}
		}
		seen |= 1 << i
		if err := dec.Decode(fields[i].into); err != nil {
			return namedError(name, err)
		}
	}
	_, err := dec.Token()
	return err
}

func fieldNames(fields []jsonField) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return strings.Join(names, ", ")
}

// namedError names the field of an error of encoding/json, which sees the value alone.
func namedError(name string, err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return &fieldError{field: name, reason: "must not be a JSON " + wrong.Value}
	}
	if errors.Is(err, errNotBoolean) {
		return &fieldError{field: name, reason: err.Error()}
	}
	return err
}

// explicit is a JSON true or false. Null is neither.
type explicit bool

var errNotBoolean = errors.New("must be true or false")

func (e *explicit) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "true", "false":
		*e = string(b) == "true"
		return nil
	}
	return errNotBoolean
}

// text is a JSON string that must be valid Unicode: encoding/json puts U+FFFD where half of a
// surrogate pair is, so that an event would have another subject or id than its sender wrote.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if string(b) == "null" {
		return &json.UnmarshalTypeError{Value: "null"}
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	if strings.ContainsRune(s, utf8.RuneError) {
		return &json.UnmarshalTypeError{Value: "string that is not valid Unicode (half of a surrogate pair)"}
	}
	*t = text(s)
	return nil
}
