// Package slots holds sets whose elements know where they lie: to add and to remove is to write
// one place of a slice. A map of a hundred thousand pointers costs three times the memory, and
// every now and then moves all of them at once while a lock is held.
package slots

// Set is a set of pointers. An element is in one Set at most through the same place function. It is
// not safe for concurrent use.
type Set[T any] struct {
	place    func(*T) *int32
	elements []*T
}

// New returns an empty set. place says where an element keeps its slot, which is the set's alone.
func New[T any](place func(*T) *int32) Set[T] { return Set[T]{place: place} }

// Len is how many elements there are.
func (s *Set[T]) Len() int { return len(s.elements) }

// All are the elements in no particular order. They are the set's own until it changes.
func (s *Set[T]) All() []*T { return s.elements }

// Add takes an element that is not in the set.
func (s *Set[T]) Add(x *T) {
	*s.place(x) = int32(len(s.elements)) //nolint:gosec // no machine has so many connections
	s.elements = append(s.elements, x)
}

// Remove drops an element, and reports whether it was there.
func (s *Set[T]) Remove(x *T) bool {
	at := *s.place(x)
	last := len(s.elements) - 1
	if int(at) > last || s.elements[at] != x {
		return false
	}
	moved := s.elements[last]
	s.elements[at] = moved
	*s.place(moved) = at
	s.elements[last] = nil
	s.elements = s.elements[:last]
	return true
}
