package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// tasksExtension is the extension by which a server answers with a task that the
// client then asks after (io.modelcontextprotocol/tasks).
const tasksExtension = jsonrpc.MetaPrefix + "tasks"

const (
	maxTasks = 10_000
	// maxTasksOfOne is how many of them may be one principal's that said who it is.
	maxTasksOfOne = 2_000
	taskForgo     = 24 * time.Hour // after which a task is forgotten
)

// tasks remembers whose the tasks are that clients were told of. Their ids go as
// the upstreams gave them: what a client reads of a task elsewhere names it so.
type tasks struct {
	mu    sync.Mutex // guards all
	byKey map[taskKey]taskHome
	order []taskKey      // oldest first
	of    map[string]int // how many there are of each principal
}

type taskKey struct{ principal, view, id string }

type taskHome struct {
	upstreams []string // more than one only if two gave the same id
	since     time.Time
	made      telemetry.Ref // the request that made it, zero for none
}

// remember notes which upstream a result of the type task came from.
func (t *tasks) remember(x *exchange, upstream string, m jsonrpc.Message) {
	at, ok := jsonrpc.Lookup(m.Raw, m.Result, "taskId")
	if !ok || m.Raw[at.Start] != '"' {
		return
	}
	key := taskKey{x.session.principal.Key(), x.session.view, m.Text(at)}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for n < len(t.order) && (len(t.order)-n >= maxTasks || now.Sub(t.byKey[t.order[n]].since) > taskForgo) {
		t.forget(t.order[n])
		n++
	}
	t.order = slices.Clone(t.order[n:])
	if t.byKey == nil {
		t.byKey, t.of = make(map[taskKey]taskHome), make(map[string]int)
	}
	home, known := t.byKey[key]
	switch {
	case !known:
		if key.principal != "" && t.of[key.principal] >= maxTasksOfOne {
			i := slices.IndexFunc(t.order, func(k taskKey) bool { return k.principal == key.principal })
			t.forget(t.order[i])
			t.order = slices.Delete(t.order, i, i+1)
		}
		t.byKey[key] = taskHome{[]string{upstream}, now, x.span.Ref()}
		t.order = append(t.order, key)
		t.of[key.principal]++
	case !slices.Contains(home.upstreams, upstream):
		home.upstreams = append(slices.Clone(home.upstreams), upstream)
		t.byKey[key] = home
	}
}

// forget drops a task from all but the order. The caller holds mu.
func (t *tasks) forget(k taskKey) {
	delete(t.byKey, k)
	if t.of[k.principal]--; t.of[k.principal] == 0 {
		delete(t.of, k.principal)
	}
}

// at returns the upstreams that gave the client a task of that id.
func (t *tasks) at(x *exchange, id string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byKey[taskKey{x.session.principal.Key(), x.session.view, id}].upstreams
}

// made returns the request that made the client's task of that id, the zero Ref for
// none that is known.
func (t *tasks) made(x *exchange, id string) telemetry.Ref {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byKey[taskKey{x.session.principal.Key(), x.session.view, id}].made
}

// foreign reports whether the task is known to be other principals' alone.
func (t *tasks) foreign(x *exchange, id string) bool {
	mine, theirs := x.session.principal.Key(), false
	t.mu.Lock()
	defer t.mu.Unlock()
	for k := range t.byKey {
		if k.id == id && k.principal == mine { // in another view
			return false
		}
		theirs = theirs || k.id == id
	}
	return theirs
}

// task serves tasks/get, tasks/update and tasks/cancel: it carries them to where
// the task is.
func (g *Gateway) task(ctx context.Context, x *exchange) (answer, outcome) {
	at, _ := jsonrpc.Lookup(x.msg.Raw, x.msg.Params, "taskId")
	if x.kindOf(at) != '"' {
		return x.badParams("params.taskId must be a string")
	}
	id := x.text(at)
	if x.span.Recording() {
		x.span.Link(g.tasks.made(x, id), linkedAs(telemetry.LinkTask))
	}
	up, why := g.taskHome(x, id)
	if up == "" {
		return x.badParams("params.taskId " + clipName(id) + ": " + why)
	}
	return g.forward(ctx, x, &router.Route{Upstream: up, Target: id, Exposed: id}, nil)
}

// taskHome returns the upstream that a task is at, or why it is not known: it was
// given by this gateway since it was started, or only one can have given it.
func (g *Gateway) taskHome(x *exchange, id string) (up, why string) {
	ups := slices.DeleteFunc(slices.Clone(g.tasks.at(x, id)), func(up string) bool { return !x.catalog.Sees(up) })
	switch len(ups) {
	case 0:
		if g.tasks.foreign(x, id) {
			return "", "this gateway gave no such task"
		}
	case 1:
		return ups[0], ""
	default:
		return "", "several upstreams gave a task this id: ask one alone, under " + x.view.cfg.Server.Path + "/u/<upstream>"
	}
	all := x.inView()
	if len(all) == 1 {
		return all[0].Name(), ""
	}
	for _, u := range all {
		for name := range extensionsOf(u) {
			if name == tasksExtension {
				if up != "" {
					return "", "this gateway gave no such task since it was started, and several upstreams have tasks: ask one alone, under " + x.view.cfg.Server.Path + "/u/<upstream>"
				}
				up = u.Name()
			}
		}
	}
	if up == "" {
		return "", "no upstream has tasks"
	}
	return up, ""
}
