package feedhttp

// ScopedID is the id with which an event over HTTP is stored.
var ScopedID = scopedID

// ResultOf is what a publisher receives of a result.
var ResultOf = resultOf

// LastWaiting is how many connections wait for a start over many subjects.
func (a *Admission) LastWaiting() int {
	a.lasts.mu.Lock()
	defer a.lasts.mu.Unlock()
	return a.lasts.all
}
