package gateway

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A callContext is a context like those of the context package, for whoever
// derives from it or waits for its end.
func TestCallContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("why")
		var c callContext
		var hooked, after, stopped int
		if !c.Hook(func() { hooked++ }) || c.Hook(func() { t.Error("a second hook was called") }) {
			t.Error("there is not one hook")
		}
		child, cancel := context.WithTimeout(&c, time.Hour)
		defer cancel()
		context.AfterFunc(&c, func() { after++ })
		if !context.AfterFunc(&c, func() { stopped++ })() {
			t.Error("what had not begun could not be stopped")
		}
		if c.Err() != nil || child.Err() != nil {
			t.Errorf("it has ended: %v, %v", c.Err(), child.Err())
		}
		c.cancel(cause)
		c.cancel(errors.New("later"))
		synctest.Wait()
		<-c.Done()
		<-child.Done()
		for name, err := range map[string]error{"Err": c.Err(), "Cause": context.Cause(&c), "the child's Cause": context.Cause(child)} {
			if !errors.Is(err, cause) || !errors.Is(err, context.Canceled) || err.Error() != "why" {
				t.Errorf("%s is %v", name, err)
			}
		}
		if hooked != 1 || after != 1 || stopped != 0 {
			t.Errorf("hook called %d times, function %d, stopped one %d", hooked, after, stopped)
		}
		if c.Unhook() {
			t.Error("a hook that was called was taken back")
		}
		// Whoever comes late is told at once.
		late := 0
		c.Hook(func() { late++ })
		context.AfterFunc(&c, func() { late++ })
		synctest.Wait()
		if late != 2 {
			t.Errorf("%d of 2 late ones were told", late)
		}
		var kept callContext
		if !kept.Hook(func() { t.Error("called although taken back") }) || !kept.Unhook() || kept.Unhook() {
			t.Error("a hook is taken back once")
		}
		kept.cancel(nil)
		if !errors.Is(kept.Err(), context.Canceled) {
			t.Errorf("Err is %v", kept.Err())
		}
	})
}
