package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"time"
)

// MaxWait is the longest that a request waits for the outcome of an order: a
// chain of slow starts fits.
const MaxWait = 10 * time.Minute

type give = func(context.Context, Order) []Outcome

// order serves an order to several.
func (a *api) order(give give) func(http.ResponseWriter, *http.Request) error {
	const shape = `{"names": ["NAME"]} or {"all": true}, and "force", "wait", "timeout" (seconds)`
	return func(w http.ResponseWriter, r *http.Request) error {
		var o Order
		if err := decode(w, r, &o, shape); err != nil {
			return err
		}
		if o.All == (len(o.Names) > 0) {
			return &Error{Code: CodeBadRequest, Detail: "either names or all must be given", Mend: "send " + shape}
		}
		told := outcomesTo(w, r)
		o.Each = told.each
		out, err := await(r.Context(), o, give)
		if err != nil {
			return err
		}
		return told.all(out)
	}
}

// orderOne serves an order to the upstream in the path.
func (a *api) orderOne(give give) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		var o Order
		if err := decode(w, r, &o, `{"force": false, "wait": true, "timeout": 30}`); err != nil {
			return err
		}
		if o.All || len(o.Names) > 0 {
			return &Error{Code: CodeBadRequest, Detail: "the path names the upstream: names and all are for /v1/start, /v1/stop, /v1/restart and /v1/remove"}
		}
		return a.one(w, r, o, give)
	}
}

// removeOne takes its order from the query: a DELETE has no body.
func (a *api) removeOne(w http.ResponseWriter, r *http.Request) error {
	var o Order
	for key, to := range map[string]*bool{"force": &o.Force, "wait": &o.Wait} {
		var err error
		if *to, err = yes(r, key); err != nil {
			return err
		}
	}
	timeout, err := span(r, "timeout", 0)
	if err != nil {
		return err
	}
	o.Timeout = timeout.Seconds()
	return a.one(w, r, o, a.State.Remove)
}

func (a *api) one(w http.ResponseWriter, r *http.Request, o Order, give give) error {
	o.Names = []string{r.PathValue("name")}
	out, err := await(r.Context(), o, give)
	if err != nil {
		return err
	}
	if f := out[0].Error; f != nil && (f.Code == CodeUnknownUpstream || f.Code == CodeDisabled) {
		return &Error{Code: f.Code, Detail: f.Detail, Mend: f.Mend}
	}
	return writeJSON(w, http.StatusOK, out[0])
}

// await gives an order and waits as it says.
func await(ctx context.Context, o Order, give give) ([]Outcome, error) {
	ctx, cancel, err := deadline(ctx, o.Timeout)
	if err != nil {
		return nil, err
	}
	defer cancel()
	return give(ctx, o), nil
}

// deadline is that of a wait of so many seconds, 0 for MaxWait. A server that
// ends does not wait either.
func deadline(ctx context.Context, seconds float64) (context.Context, context.CancelFunc, error) {
	if seconds < 0 || math.IsNaN(seconds) {
		return nil, nil, &Error{Code: CodeBadRequest, Detail: "timeout must be a number of seconds"}
	}
	wait := MaxWait
	if seconds > 0 && seconds < wait.Seconds() {
		wait = time.Duration(seconds * float64(time.Second))
	}
	over := closing(ctx)
	ctx, cancel := context.WithTimeout(ctx, wait)
	stop := context.AfterFunc(over, cancel)
	return ctx, func() { stop(); cancel() }, nil
}

func (a *api) add(w http.ResponseWriter, r *http.Request) error {
	const shape = `{"mcpServers": {"NAME": {"command": ..., or "url": ...}}}`
	raw, err := read(w, r)
	if err != nil {
		return err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return &Error{Code: CodeBadRequest, Detail: "the body is no JSON object: " + clip(err.Error()), Mend: "send " + shape}
	}
	told := outcomesTo(w, r)
	add := AddOrder{Each: told.each, Commands: CallerOf(r.Context()).Socket}
	for key, to := range map[string]any{"wait": &add.Wait, "timeout": &add.Timeout} {
		if v, ok := members[key]; ok {
			if err := json.Unmarshal(v, to); err != nil {
				return &Error{Code: CodeBadRequest, Detail: key + " is not of the right kind: " + clip(err.Error())}
			}
			delete(members, key)
		}
	}
	add.Entries = object(members)
	ctx, cancel, err := deadline(r.Context(), add.Timeout)
	if err != nil {
		return err
	}
	defer cancel()
	out, err := a.State.Add(ctx, add)
	if err != nil {
		return err
	}
	return told.all(out)
}

// object writes members, whose values keep their bytes.
func object(members map[string]json.RawMessage) json.RawMessage {
	b := bytes.NewBufferString("{")
	keys := make([]string, 0, len(members))
	for k := range members {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for i, k := range keys {
		if i > 0 {
			b.WriteByte(',')
		}
		name, _ := json.Marshal(k) // a string
		b.Write(name)
		b.WriteByte(':')
		b.Write(members[k])
	}
	b.WriteByte('}')
	return b.Bytes()
}

func (a *api) reload(w http.ResponseWriter, r *http.Request) error {
	dry, err := yes(r, "dry_run")
	if err != nil {
		return err
	}
	if err := decode(w, r, new(struct{}), "no body: dry_run=true is a parameter of the query"); err != nil {
		return err
	}
	do := a.State.Reload
	if dry {
		do = a.State.Plan
	}
	p, err := do(r.Context())
	if err != nil {
		return err
	}
	for _, list := range []*[]string{&p.Added, &p.Removed, &p.Restarted, &p.Changed, &p.Kept, &p.ToolsAdded, &p.ToolsRemoved, &p.NeedRestart} {
		*list = orEmpty(*list)
	}
	return writeJSON(w, http.StatusOK, p)
}
