// Package slots provides sets of pointers whose elements store their own index.
//
// Use it for large sets that change often under a lock. Adding and removing writes one index of a slice. A
// map of a hundred thousand pointers needs three times the memory, and copies all of them when it grows,
// while the lock is held.
package slots

// Set is a set of pointers. An element must be in at most one Set with the same place function. A Set is
// not safe for concurrent use.
type Set[T any] struct {
	place    func(*T) *int32
	elements []*T
}

// New returns an empty set. place returns the field of an element for its index. Only the set may write
// it.
func New[T any](place func(*T) *int32) Set[T] { return Set[T]{place: place} }

// Len returns the number of elements.
func (s *Set[T]) Len() int { return len(s.elements) }

// All returns the elements in no particular order. The slice is valid until the set changes.
func (s *Set[T]) All() []*T { return s.elements }

// Add adds a new element. The element must not be in the set.
func (s *Set[T]) Add(x *T) {
	*s.place(x) = int32(len(s.elements)) //nolint:gosec // no machine has so many connections
	s.elements = append(s.elements, x)
}

// Remove removes an element, and reports whether it was in the set.
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
