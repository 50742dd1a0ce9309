package upstream

// maxAbandoned bounds how many abandoned calls are remembered one by one.
const maxAbandoned = 4096

// attribution knows whose calls a link carries, to tell for whom a server's
// request is that does not say to which call it belongs. A call counts from the
// moment it is sent until its answer has come, even if its caller is long gone:
// a server may ask on behalf of a call that was cancelled. The supervisor's own
// requests (owner "") cannot make a server ask and do not count.
//
// It is not safe for concurrent use; the link's mutex guards it.
type attribution struct {
	owners    map[string]int    // calls of each owner that are not answered
	abandoned map[uint64]string // of them, those that nobody waits for
}

// begin counts a call of owner.
func (a *attribution) begin(owner string) {
	if owner == "" {
		return
	}
	if a.owners == nil {
		a.owners = make(map[string]int)
	}
	a.owners[owner]++
}

// end uncounts a call that was answered, or never sent.
func (a *attribution) end(owner string) {
	if owner == "" {
		return
	}
	if a.owners[owner]--; a.owners[owner] <= 0 {
		delete(a.owners, owner)
	}
}

// abandon keeps a call counted whose caller went away: late uncounts it when
// its answer comes. Beyond maxAbandoned the id is forgotten and the call counts
// for as long as the link lives.
func (a *attribution) abandon(id uint64, owner string) {
	if owner == "" || len(a.abandoned) >= maxAbandoned {
		return
	}
	if a.abandoned == nil {
		a.abandoned = make(map[uint64]string)
	}
	a.abandoned[id] = owner
}

// late is the answer to an abandoned call; other ids are ignored.
func (a *attribution) late(id uint64) {
	if owner, ok := a.abandoned[id]; ok {
		delete(a.abandoned, id)
		a.end(owner)
	}
}

// sole returns the one owner of all calls that count, and false if there are
// none or several.
func (a *attribution) sole() (string, bool) {
	if len(a.owners) != 1 {
		return "", false
	}
	for owner := range a.owners {
		return owner, true
	}
	return "", false
}
