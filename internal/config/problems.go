package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// problems collects errors, each with the key to change and its origin.
type problems struct {
	errs    []error
	origins map[string]string // key to a file, a variable or a flag
}

func (p *problems) add(key, format string, args ...any) {
	if from := p.origin(key); from != "" {
		key += " (from " + from + ")"
	}
	p.errs = append(p.errs, fmt.Errorf("%s: %w", key, fmt.Errorf(format, args...)))
}

// origin returns the origin of a key, or of the key that contains it: an entry of feeds has that of feeds.
func (p *problems) origin(key string) string {
	for {
		if from := p.origins[key]; from != "" {
			return from
		}
		end := strings.LastIndexAny(key, ".[")
		if end < 0 {
			return ""
		}
		key = key[:end]
	}
}

func (p *problems) from(key, origin string) {
	if p.origins == nil {
		p.origins = make(map[string]string)
	}
	p.origins[key] = origin
}

func (p *problems) err() error { return errors.Join(p.errs...) }

// DidYouMean ends a message about an unknown name with a similar known one, if there is one.
func DidYouMean(name string, known []string) string {
	if len(known) == 0 {
		return ""
	}
	best := slices.MinFunc(known, func(a, b string) int { return distance(name, a) - distance(name, b) })
	if distance(name, best) > 2 {
		return ""
	}
	return "; did you mean " + best + "?"
}

// didYouMeanKey is DidYouMean for keys and variables of the configuration. Without a similar one it names the
// list of all.
func didYouMeanKey(name string, known []string) string {
	if hint := DidYouMean(name, known); hint != "" {
		return hint
	}
	return "; see docs/reference/configuration.md"
}

// distance is the Levenshtein distance: the number of characters to insert, remove or change.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
