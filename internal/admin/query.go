package admin

import (
	"net/url"
	"strconv"
	"strings"
)

// maxPage bounds the connections of one page: some 2 MiB of JSON.
const maxPage = 10_000

// parameter is a parameter of the query of a list. Value is nil where it is allowed and not used here.
type parameter struct {
	name  string
	value *string
}

// parseQuery reads the parameters of a list, each of which may occur once.
func parseQuery(rawQuery string, known ...parameter) (url.Values, error) {
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, badRequest("the query cannot be read; escape it as URLs need it")
	}
	allowed := make(map[string]*string, len(known))
	var names []string
	for _, p := range known {
		allowed[p.name] = p.value
		if p.value != nil {
			names = append(names, "?"+p.name+"=")
		}
	}
	for name, list := range values {
		value, ok := allowed[name]
		switch {
		case !ok:
			return nil, badRequest("only %s and %s are known here", strings.Join(names[:len(names)-1], ", "), names[len(names)-1])
		case len(list) > 1:
			return nil, badRequest("?%s= is there more than once", name)
		case value != nil:
			*value = list[0]
		}
	}
	return values, nil
}

// parseLimit reads ?limit=, which is def when empty.
func parseLimit(text string, def int) (int, error) {
	if text == "" {
		return def, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > maxPage {
		return 0, badRequest("?limit= must be a number from 1 to %d", maxPage)
	}
	return limit, nil
}
