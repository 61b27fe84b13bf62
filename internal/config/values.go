package config

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes, written as 1048576, 64KiB, 1MiB or 2GiB. KB and MB are rejected, because they
// are ambiguous: many people read them as powers of ten.
type Size int64

// Units of Size.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

var sizeUnits = []struct {
	suffix string
	size   Size
}{{"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}}

func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && s%u.size == 0 {
			return strconv.FormatInt(int64(s/u.size), 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// UnmarshalText parses the output of String.
func (s *Size) UnmarshalText(text []byte) error {
	digits, unit := string(text), Size(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(digits, u.suffix); ok {
			digits, unit = strings.TrimSpace(rest), u.size
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/int64(unit) {
		return fmt.Errorf("%q is not a size; write bytes, or a whole number with KiB, MiB or GiB such as 64MiB", text)
	}
	*s = Size(n) * unit
	return nil
}

// Share is a number from 0 to 1, such as 0.01.
type Share float64

func (s Share) String() string { return strconv.FormatFloat(float64(s), 'g', -1, 64) }

// UnmarshalText parses the output of String.
func (s *Share) UnmarshalText(text []byte) error {
	n, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(n >= 0 && n <= 1) {
		return fmt.Errorf("%q is not a number from 0 to 1, such as 0.01", text)
	}
	*s = Share(n)
	return nil
}

// Sync is the longest time between the acknowledgment of an event and its sync to the disk.
type Sync time.Duration

// SyncAlways syncs every event before it is acknowledged.
const SyncAlways Sync = 0

func (s Sync) String() string {
	if s == SyncAlways {
		return "always"
	}
	return durationText(time.Duration(s))
}

// UnmarshalText reads "always" or a duration.
func (s *Sync) UnmarshalText(text []byte) error {
	if string(text) == "always" {
		*s = SyncAlways
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is neither always nor a duration above zero, such as 2m", text)
	}
	*s = Sync(d)
	return nil
}

// DrainDelay is a duration, or DrainDelayAuto.
type DrainDelay time.Duration

// DrainDelayAuto is 5 s, and zero at a terminal and in development mode, where there is no load balancer.
const DrainDelayAuto DrainDelay = -1

const defaultDrainDelay = 5 * time.Second

// Duration resolves the delay. There is no load balancer at a terminal and in development mode.
func (d DrainDelay) Duration(balanced bool) time.Duration {
	switch {
	case d >= 0:
		return time.Duration(d)
	case !balanced:
		return 0
	}
	return defaultDrainDelay
}

func (d DrainDelay) String() string {
	if d == DrainDelayAuto {
		return string(Auto)
	}
	return durationText(time.Duration(d))
}

// UnmarshalText reads "auto" or a duration.
func (d *DrainDelay) UnmarshalText(text []byte) error {
	if string(text) == string(Auto) {
		*d = DrainDelayAuto
		return nil
	}
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is neither auto nor a duration such as 5s", text)
	}
	*d = DrainDelay(v)
	return nil
}

// Switch is true, false, or auto.
type Switch string

// Auto decides from other keys.
const (
	Auto Switch = "auto"
	On   Switch = "true"
	Off  Switch = "false"
)

func (s Switch) String() string { return string(s) }

// UnmarshalText reads one of the three.
func (s *Switch) UnmarshalText(text []byte) error {
	switch v := Switch(text); v {
	case Auto, On, Off:
		*s = v
		return nil
	}
	return fmt.Errorf("%q is not known; write true, false or auto", text)
}

// assign sets the field of a key. For a key with few values it names them also where YAML has a boolean, such as false
// for off.
func (k key) assign(field, value any) error {
	if _, isText := value.(string); !isText && len(k.values) > 0 && scalar(value) {
		return k.unknownValue(value)
	}
	return assign(field, value)
}

// assign sets a field from a value of YAML, or from text of the environment or a flag.
func assign(field, value any) error {
	switch f := field.(type) {
	case *bool:
		return assignBool(f, value)
	case *int:
		return assignInt(f, value)
	case *time.Duration:
		return assignDuration(f, value)
	case *[]string:
		return assignList(f, value)
	case encoding.TextUnmarshaler:
		if !scalar(value) {
			return errors.New("it must be one value, not a list or a mapping")
		}
		return f.UnmarshalText(fmt.Append(nil, value))
	}
	if v := reflect.ValueOf(field).Elem(); v.Kind() == reflect.String {
		return assignString(v, value)
	}
	return fmt.Errorf("fields of type %T cannot be set", field)
}

func scalar(value any) bool {
	switch value.(type) {
	case string, int, int64, uint64, float64, bool:
		return true
	}
	return false
}

// assignString rejects numbers and booleans, because YAML has already converted them (0123, 1e3, yes). Its
// error does not repeat the value, which may be a password.
func assignString(v reflect.Value, value any) error {
	s, ok := value.(string)
	if !ok {
		return errors.New("the value is not a string; write it in quotes")
	}
	v.SetString(s)
	return nil
}

func assignBool(f *bool, value any) error {
	switch fmt.Sprint(value) {
	case "true":
		*f = true
	case "false":
		*f = false
	default:
		return fmt.Errorf("%q is neither true nor false", fmt.Sprint(value))
	}
	return nil
}

func assignInt(f *int, value any) error {
	n, err := strconv.Atoi(fmt.Sprint(value))
	if err != nil {
		return fmt.Errorf("%q is not a whole number", fmt.Sprint(value))
	}
	*f = n
	return nil
}

func assignDuration(f *time.Duration, value any) error {
	d, err := time.ParseDuration(fmt.Sprint(value))
	if err != nil {
		return fmt.Errorf("%q is not a duration; write a number and a unit, such as 500ms, 15s, 5m or 24h", fmt.Sprint(value))
	}
	*f = d
	return nil
}

// assignList accepts a YAML list of strings, or text by comma as variables and flags have it.
func assignList(f *[]string, value any) error {
	list := []string{}
	switch v := value.(type) {
	case string:
		for item := range strings.SplitSeq(v, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
	case []string:
		list = append(list, v...)
	case []any:
		for _, item := range v {
			s, ok := item.(string)
			if !ok {
				return fmt.Errorf("%v in the list is not a string; write it in quotes", item)
			}
			list = append(list, s)
		}
	default:
		return fmt.Errorf("%v is not a list; write [one, two]", value)
	}
	*f = list
	return nil
}

// durationText removes the zero units of Duration.String: 2m0s becomes 2m.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
