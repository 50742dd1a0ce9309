//go:build jaeger

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/addrtest"
)

// jaeger is Jaeger v2, a real backend, with the configuration of
// examples/observability on ports of its own.
type jaeger struct {
	ctx   context.Context //nolint:containedctx // the test's deadline, which every wait of this kit obeys
	api   string          // where its API v3 is
	otlp  string          // what a gateway is told as telemetry.otlp.endpoint
	begun time.Time
}

// newJaeger starts the binary that INTERLOCK_JAEGER names (`make e2e-jaeger` builds
// it) and waits until it answers.
func newJaeger(ctx context.Context, t *testing.T, dir string) *jaeger {
	t.Helper()
	binary := os.Getenv("INTERLOCK_JAEGER")
	if binary == "" {
		t.Fatal("INTERLOCK_JAEGER must name a binary of Jaeger v2: use make e2e-jaeger")
	}
	config, err := filepath.Abs("../observability/jaeger.yaml")
	if err != nil {
		t.Fatal(err)
	}
	page, otlp := addrtest.Free(t), addrtest.Free(t)
	cmd := exec.Command(binary, "--config", config)
	cmd.Env = environ(dir, "JAEGER_HTTP="+page, "JAEGER_GRPC="+addrtest.Free(t), "JAEGER_OTLP_HTTP="+otlp, "JAEGER_OTLP_GRPC="+addrtest.Free(t))
	exited, log := start(ctx, t, dir, cmd)
	j := &jaeger{ctx: ctx, api: "http://" + page + "/api/v3/", otlp: "http://" + otlp, begun: time.Now()}
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		if _, err := j.get("services", nil); err == nil {
			return j
		}
		select {
		case <-again.C:
		case <-exited:
			t.Fatalf("Jaeger exited: %s\n%s", cmd.ProcessState, log)
		case <-ctx.Done():
			t.Fatalf("Jaeger does not answer: %v", context.Cause(ctx))
		}
	}
}

// get asks the API v3.
func (j *jaeger) get(path string, query url.Values) ([]byte, error) {
	req, err := http.NewRequestWithContext(j.ctx, http.MethodGet, j.api+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, body)
	}
	return body, err
}

// patience is how long spans may take from a gateway that has stopped, and so has
// sent all, into the answers of Jaeger.
const patience = time.Minute

// trace waits until a trace is complete, and returns it. If it never is, the test
// fails with a picture of what is there.
func (j *jaeger) trace(t *testing.T, id string, complete func(tree) bool) tree {
	t.Helper()
	return j.wait(t, "trace "+id, func() (tree, error) {
		return j.read("traces/"+id, url.Values{"raw_traces": {"true"}})
	}, complete)
}

// named waits for the traces that have a span of that name.
func (j *jaeger) named(t *testing.T, name string, complete func(tree) bool) tree {
	t.Helper()
	return j.wait(t, "traces with "+name, func() (tree, error) {
		return j.read("traces", url.Values{
			"query.service_name":   {"interlock"},
			"query.operation_name": {name},
			"query.start_time_min": {j.begun.Add(-time.Minute).UTC().Format(time.RFC3339Nano)},
			"query.start_time_max": {time.Now().Add(time.Minute).UTC().Format(time.RFC3339Nano)},
			"query.num_traces":     {"1000"},
			"query.raw_traces":     {"true"},
		})
	}, complete)
}

func (j *jaeger) wait(t *testing.T, what string, read func() (tree, error), complete func(tree) bool) tree {
	t.Helper()
	end := time.NewTimer(patience)
	defer end.Stop()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		got, err := read()
		if err == nil && complete(got) {
			return got
		}
		select {
		case <-again.C:
		case <-end.C:
			t.Fatalf("%s is not what was waited for: %v\n%s", what, err, got)
		case <-j.ctx.Done():
			t.Fatalf("%s: %v", what, context.Cause(j.ctx))
		}
	}
}

func (j *jaeger) read(path string, query url.Values) (tree, error) {
	raw, err := j.get(path, query)
	if err != nil {
		return tree{}, err
	}
	var answer struct{ Result otlpTraces }
	if err := json.Unmarshal(raw, &answer); err != nil {
		return tree{}, fmt.Errorf("%w in %s", err, raw)
	}
	return tree{spans: answer.Result.spans(), raw: string(raw)}, nil
}
