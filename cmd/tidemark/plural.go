package main

import "strconv"

// plural formats a count and its noun: 1 node, 2 nodes.
func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}
