package admin

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// How much of a log is told.
const (
	defaultTail = 100
	maxTail     = 10_000
)

// defaultWindow is that of stats if none is said.
const defaultWindow = 300 * time.Second

func (a *api) check(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Names []string `json:"names"`
	}
	if err := decode(w, r, &body, `{"names": ["NAME"]}, or nothing for all`); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, a.State.Check(r.Context(), body.Names))
}

func (a *api) checkOne(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if err := decode(w, r, new(struct{}), "no body"); err != nil {
		return err
	}
	if _, err := a.State.Status(name); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, a.State.Check(r.Context(), []string{name}))
}

func (a *api) stats(w http.ResponseWriter, r *http.Request) error {
	window, err := span(r, "window", defaultWindow)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"stats": orEmpty(a.State.Stats(window, nil))})
}

func (a *api) statsOne(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	window, err := span(r, "window", defaultWindow)
	if err != nil {
		return err
	}
	if _, err := a.State.Status(name); err != nil {
		return err
	}
	if s := a.State.Stats(window, []string{name}); len(s) == 1 {
		return writeJSON(w, http.StatusOK, s[0])
	}
	_, err = a.State.Status(name) // it was removed just now
	return err
}

func (a *api) logs(w http.ResponseWriter, r *http.Request) error {
	tail, err := whole(r, "tail", defaultTail, maxTail)
	if err != nil {
		return err
	}
	follow, err := yes(r, "follow")
	if err != nil {
		return err
	}
	name, n := r.PathValue("name"), int(tail) //nolint:gosec // at most maxTail
	if !follow {
		lines, err := a.State.Logs(name, n)
		if err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, map[string]any{"lines": orEmpty(lines)})
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	lines, err := a.State.Follow(ctx, name, n)
	if err != nil {
		return err
	}
	s := openStream(w, r)
	came := make(chan LogLine)
	done := make(chan struct{})
	defer func() { cancel(); <-done }()
	go func() {
		defer close(done)
		defer close(came)
		for l := range lines {
			select {
			case came <- l:
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case l, ok := <-came:
			if !ok || s.send("", l) != nil {
				return nil
			}
		case <-s.beat():
			if s.ping() != nil {
				return nil
			}
		case <-s.over:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

func (a *api) events(w http.ResponseWriter, r *http.Request) error {
	after, err := whole(r, "after", 0, 1<<62)
	if err != nil {
		return err
	}
	follow, err := yes(r, "follow")
	if err != nil {
		return err
	}
	if !follow {
		list, _ := a.State.Events(after)
		return writeJSON(w, http.StatusOK, map[string]any{"events": orEmpty(list)})
	}
	if last, err := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 62); err == nil {
		after = last
	}
	if all, _ := a.State.Events(0); len(all) == 0 || all[len(all)-1].Seq < after {
		after = 0 // of an earlier run of the gateway, whose events were counted from 1, too
	}
	s := openStream(w, r)
	for {
		list, changed := a.State.Events(after)
		for _, e := range list {
			if s.send(strconv.FormatUint(e.Seq, 10), e) != nil {
				return nil //nolint:nilerr // the client is gone: there is nobody to tell
			}
			after = e.Seq
		}
		select {
		case <-changed:
		case <-s.beat():
			if s.ping() != nil {
				return nil //nolint:nilerr // as above
			}
		case <-s.over:
			return nil
		case <-r.Context().Done():
			return nil
		}
	}
}
