package feedhttp

// ScopedID returns the id with which an event over HTTP is stored.
var ScopedID = scopedID

// ResultOf returns the answer to a publisher for a result.
var ResultOf = resultOf

// LastWaiting returns how many connections wait for a start over many subjects.
func (a *Admission) LastWaiting() int {
	a.last.mu.Lock()
	defer a.last.mu.Unlock()
	return a.last.all
}
