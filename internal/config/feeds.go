package config

import (
	"maps"
	"slices"
)

// readFeeds reads the mapping below `feeds`. It takes the place of the default feeds, so
// that they can be left out.
func readFeeds(value any, p *problems) map[string]Feed {
	feeds := make(map[string]Feed)
	tree, ok := value.(map[string]any)
	if !ok {
		p.add("feeds", "it must be a mapping from a feed's name to its settings")
		return feeds
	}
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		feeds[name] = readFeed("feeds."+name, tree[name], p)
	}
	return feeds
}

func readFeed(key string, value any, p *problems) Feed {
	f := Feed{Replay: ReplayAuto}
	fields := map[string]any{
		"paths": &f.Paths, "stream": &f.Stream, "subjects": &f.Subjects, "allow": &f.Allow,
		"replay": (*string)(&f.Replay),
	}
	readFields(key, "paths, stream, subjects and allow", value, fields, p)
	return f
}

// readFields assigns the values of a mapping, which has those that are named, to fields by name.
func readFields(key, names string, value any, fields map[string]any, p *problems) {
	tree, ok := value.(map[string]any)
	if !ok {
		p.add(key, "it must be a mapping with %s", names)
	}
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		field, known := fields[name]
		if !known {
			p.add(key+"."+name, "there is no such key%s", DidYouMean(name, slices.Sorted(maps.Keys(fields))))
			continue
		}
		if err := assign(field, tree[name]); err != nil {
			p.add(key+"."+name, "%w", err)
		}
	}
}
