package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// problems collects what is wrong, each with the key that must change and where it was set.
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

func (p *problems) origin(key string) string {
	for _, section := range []string{"feeds", usersKey} {
		if strings.HasPrefix(key, section) {
			key = section
		}
	}
	return p.origins[key]
}

func (p *problems) from(key, origin string) {
	if p.origins == nil {
		p.origins = make(map[string]string)
	}
	p.origins[key] = origin
}

func (p *problems) err() error { return errors.Join(p.errs...) }

// DidYouMean ends a message about a name that is not known, when one that is lies near.
func DidYouMean(name string, known []string) string {
	if len(known) == 0 {
		return ""
	}
	best := slices.MinFunc(known, func(a, b string) int { return distance(name, a) - distance(name, b) })
	if distance(name, best) > max(2, len(name)/4) {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is Levenshtein's: how many characters to insert, drop or change.
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
