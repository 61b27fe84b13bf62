package subject

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// UserTemplate returns the template for events to a user. It is the only template in a list with {user} as its
// only variable and without wildcards. Several such templates, or none, are an error.
func UserTemplate(templates []Template) (Template, error) {
	var found []Template
	for _, t := range templates {
		same := func(other Template) bool { return other.text == t.text }
		if !t.HasWildcard() && slices.Equal(t.Variables(), []string{"user"}) && !slices.ContainsFunc(found, same) {
			found = append(found, t)
		}
	}
	switch len(found) {
	case 0:
		return Template{}, errors.New("no feed has a subject with {user} as its only variable; name the subject instead")
	case 1:
		return found[0], nil
	}
	texts := make([]string, len(found))
	for i, t := range found {
		texts[i] = t.text
	}
	slices.Sort(texts) // feeds are not ordered
	return Template{}, fmt.Errorf("the feeds have several subjects with {user} (%s); name the subject instead", strings.Join(texts, ", "))
}
