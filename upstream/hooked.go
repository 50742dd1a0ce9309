package upstream

import "context"

// Hooked is a context that calls a function at its end for one who waits, at no
// cost: context.AfterFunc makes several objects for each call. Links use it where
// the context of a call has it.
type Hooked interface {
	context.Context
	// Hook has f called once when the context ends; now, if it has ended. f must
	// not block. It reports false, and does nothing, while there is a hook.
	Hook(f func()) bool
	// Unhook takes the hook back. It reports false if it was, or is being, called.
	Unhook() bool
}
