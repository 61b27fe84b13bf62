package feedhttp

// ScopedID is the id with which an event over HTTP is stored.
var ScopedID = scopedID
