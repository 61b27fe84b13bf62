package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// check reports the values of target that the tags min, max and values do not allow.
func (keys keySet) check(target any, p *problems) {
	keys.checkAs("", target, p)
}

func (keys keySet) checkAs(prefix string, target any, p *problems) {
	for _, k := range keys {
		name := prefix + k.name
		if !k.fileOnly() {
			k.checkBounds(name, k.field(target), p)
			k.checkValues(name, k.field(target), p)
			continue
		}
		switch v := reflect.ValueOf(k.field(target)).Elem(); v.Kind() {
		case reflect.Map:
			for _, entry := range sortedKeys(v) {
				keySet(k.entries).checkAs(name+"."+entry+".", mapEntry(v, entry), p)
			}
		case reflect.Slice:
			for i := range v.Len() {
				keySet(k.entries).checkAs(fmt.Sprintf("%s[%d].", name, i), v.Index(i).Addr().Interface(), p)
			}
		default:
		}
	}
}

func sortedKeys(m reflect.Value) []string {
	names := make(map[string]bool)
	for _, name := range m.MapKeys() {
		names[name.String()] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// mapEntry returns a pointer to a copy of an entry.
func mapEntry(m reflect.Value, name string) any {
	entry := reflect.New(m.Type().Elem())
	entry.Elem().Set(m.MapIndex(reflect.ValueOf(name)))
	return entry.Interface()
}

func (k key) checkBounds(name string, field any, p *problems) {
	value := reflect.ValueOf(field).Elem()
	bound := func(text string) (reflect.Value, bool) {
		v := reflect.New(value.Type())
		if text == "" {
			return v, false
		}
		if err := assign(v.Interface(), text); err != nil {
			panic(fmt.Sprintf("config: a bound of %s: %v", name, err))
		}
		return v.Elem(), true
	}
	little, much := "little", "much"
	if _, isDuration := field.(*time.Duration); isDuration {
		little, much = "short", "long"
	}
	if least, ok := bound(k.min); ok && value.Int() < least.Int() {
		p.add(name, "%v is too %s; it must be at least %v", value.Interface(), little, least.Interface())
	}
	if most, ok := bound(k.max); ok && value.Int() > most.Int() {
		p.add(name, "%v is too %s; it must be at most %v", value.Interface(), much, most.Interface())
	}
}

func (k key) unknownValue(value any) error {
	return fmt.Errorf("%q is not known; write one of %s", fmt.Sprint(value), strings.Join(k.values, ", "))
}

func (k key) checkValues(name string, field any, p *problems) {
	if len(k.values) == 0 {
		return
	}
	given := []string{text(field)}
	if list, ok := field.(*[]string); ok {
		given = *list
	}
	for _, value := range given {
		if !slices.Contains(k.values, value) {
			p.add(name, "%w", k.unknownValue(value))
		}
	}
}
