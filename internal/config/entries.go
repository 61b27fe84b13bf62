package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// readEntries sets a map or a list of structs from the YAML below its key. It replaces the default, so that
// default feeds can be removed.
func (k key) readEntries(field, value any, p *problems) {
	v := reflect.ValueOf(field).Elem()
	if v.Kind() == reflect.Slice {
		k.readList(v, value, p)
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	tree, ok := value.(map[string]any)
	if !ok {
		p.add(k.name, "it must be a mapping from names to mappings with %s", k.entryNames())
		return
	}
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		entry := reflect.New(v.Type().Elem())
		k.readEntry(k.name+"."+name, entry.Interface(), tree[name], p)
		v.SetMapIndex(reflect.ValueOf(name), entry.Elem())
	}
}

func (k key) readList(v reflect.Value, value any, p *problems) {
	list, ok := value.([]any)
	if !ok {
		p.add(k.name, "it must be a list of mappings with %s", k.entryNames())
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
	for i, item := range list {
		k.readEntry(fmt.Sprintf("%s[%d]", k.name, i), v.Index(i).Addr().Interface(), item, p)
	}
}

func (k key) readEntry(name string, entry, value any, p *problems) {
	keys := keySet(k.entries)
	keys.setDefaults(entry)
	tree, ok := value.(map[string]any)
	if !ok {
		p.add(name, "it must be a mapping with %s", k.entryNames())
	}
	for _, field := range slices.Sorted(maps.Keys(tree)) {
		f, known := keys.find(field)
		if !known {
			p.add(name+"."+field, "there is no such key%s", didYouMeanKey(field, keys.names()))
			continue
		}
		if err := f.assign(f.field(entry), tree[field]); err != nil {
			p.add(name+"."+field, "%w", err)
		}
	}
}

func (k key) entryNames() string {
	names := keySet(k.entries).names()
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
