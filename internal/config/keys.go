package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// EnvPrefix begins the environment variables of all keys.
const EnvPrefix = "TIDEMARK_"

// key is one setting: a field with its tags, which the package documentation describes.
type key struct {
	name     string // with the names of its sections, such as http.addr
	def      string // as the file would write it
	usage    string
	min, max string
	values   []string
	secret   string
	reload   string
	index    []int // of the field in the outermost struct
	// entries are the keys of each entry of a map or a list of structs, which only the file can set.
	entries []key
}

// Values of the tags secret and reload.
const (
	tagValue = "value"
	tagFile  = "file"
)

func (k key) fileOnly() bool { return k.entries != nil }

func (k key) env() string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(k.name, ".", "_"))
}

// field returns a pointer to the value of the key in the struct that target points to.
func (k key) field(target any) any {
	return reflect.ValueOf(target).Elem().FieldByIndex(k.index).Addr().Interface()
}

// keySet are the keys of a struct in the order of its fields.
type keySet []key

// keysOf reads the tags of T. It panics for tags that are incomplete or wrong, which are errors of a
// programmer.
func keysOf[T any]() keySet {
	return structKeys(reflect.TypeFor[T](), "", nil)
}

func structKeys(t reflect.Type, prefix string, index []int) (keys keySet) {
	for _, f := range reflect.VisibleFields(t) {
		if len(f.Index) > 1 {
			continue // of an embedded struct, which is visited as a field of its own
		}
		at := append(slices.Clone(index), f.Index...)
		name, option, _ := strings.Cut(f.Tag.Get("key"), ",")
		switch {
		case f.Anonymous, option == "inline":
			keys = append(keys, structKeys(f.Type, prefix, at)...)
		case name == "-":
		case name == "":
			panic(fmt.Sprintf("config: the field %s of %s has no tag key", f.Name, t))
		case f.Type.Kind() == reflect.Struct:
			keys = append(keys, structKeys(f.Type, prefix+name+".", at)...)
		default:
			keys = append(keys, newKey(f, prefix+name, at))
		}
	}
	return keys
}

func newKey(f reflect.StructField, name string, index []int) key {
	k := key{
		name: name, usage: f.Tag.Get("usage"), secret: f.Tag.Get("secret"), reload: f.Tag.Get("reload"),
		min: f.Tag.Get("min"), max: f.Tag.Get("max"), index: index,
	}
	if list := f.Tag.Get("values"); list != "" {
		k.values = strings.Split(list, ",")
	}
	kind := f.Type.Kind()
	if (kind == reflect.Map || kind == reflect.Slice) && f.Type.Elem().Kind() == reflect.Struct {
		k.entries = structKeys(f.Type.Elem(), "", nil)
		return k
	}
	field := reflect.New(f.Type).Interface()
	if def, ok := f.Tag.Lookup("default"); ok {
		if err := assign(field, def); err != nil {
			panic(fmt.Sprintf("config: the default of %s: %v", name, err))
		}
	}
	k.def = text(field)
	return k
}

// setDefaults sets all keys of target but those that only the file can set.
func (keys keySet) setDefaults(target any) {
	for _, k := range keys {
		if k.fileOnly() {
			if v := reflect.ValueOf(k.field(target)).Elem(); v.Kind() == reflect.Slice {
				v.Set(reflect.MakeSlice(v.Type(), 0, 0)) // as [] in the file
			}
			continue
		}
		if err := assign(k.field(target), k.def); err != nil {
			panic(err) // keysOf has assigned it
		}
	}
}

// scalars are the keys that flags and variables can set as well as the file.
func (keys keySet) scalars() keySet {
	return slices.DeleteFunc(slices.Clone(keys), key.fileOnly)
}

func (keys keySet) names() []string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	return names
}

// find returns the key with a name.
func (keys keySet) find(name string) (key, bool) {
	i := slices.IndexFunc(keys, func(k key) bool { return k.name == name })
	if i < 0 {
		return key{}, false
	}
	return keys[i], true
}
