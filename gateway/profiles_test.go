package gateway

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// profiled is a gateway of two servers with three tools each, and these profiles.
func profiled(t *testing.T, profiles ...config.Profile) *rig {
	t.Helper()
	d := new(linktest.Dialer)
	for _, name := range []string{"a", "b"} {
		d.Server(name).Tools = []string{"x", "y", "z"}
	}
	cfg := settings(t, "a", "b")
	cfg.Profiles = profiles
	return start(t, cfg, d).running()
}

// profile is one that shows the upstreams.
func profile(name string, upstreams ...string) config.Profile {
	return config.Profile{Profile: router.Profile{Name: name, Upstreams: upstreams}}
}

// tools are the names that a client is listed.
func (c *client) tools() []string {
	c.r.t.Helper()
	var list struct {
		Result struct{ Tools []struct{ Name string } }
	}
	body := c.post(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`).body
	if err := json.Unmarshal([]byte(body), &list); err != nil || list.Result.Tools == nil {
		c.r.t.Fatalf("no list: %s", body)
	}
	names := []string{}
	for _, tool := range list.Result.Tools {
		names = append(names, tool.Name)
	}
	return names
}

func TestProfileByPath(t *testing.T) {
	p := profile("p", "a")
	p.Tools.Deny = []string{"*__z"}
	p.Tools.Rename = map[string]string{"a__x": "open"}
	r := profiled(t, p)
	c := r.connectAt("/mcp/p/p", "2025-11-25", `{}`)
	if d := cmp.Diff([]string{"open", "a__y"}, c.tools()); d != "" {
		t.Error("-want +got", d)
	}
	if got := c.post(calls("1", "open", `{}`)); got.result(t)["isError"] != nil {
		t.Errorf("a renamed tool: %s", got.body)
	}
	for _, path := range []string{"/mcp/p/q", "/mcp/p/p%2Fq", "/mcp/p/", "/mcp/u/p%2Fp", "/mcp/u/s%2Fp", "/mcp/u/s%2F"} {
		if got := (&client{r: r, path: path}).post(`{}`); got.status != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if n := len(r.connect(`{}`).tools()); n != 6 {
		t.Errorf("the whole has %d tools", n)
	}
}

// Who may use which profile, and what each gets without asking.
func TestWhoGetsWhich(t *testing.T) {
	ops := profile("ops")
	ops.Principals = []string{"olga", "group:ops"}
	dev := profile("dev", "a")
	dev.Principals = []string{"dora", "olga"}
	open, rest := profile("open", "a"), profile("rest", "b")
	rest.Default = true
	none, olga := &policy.Principal{}, &policy.Principal{Issuer: "i", Subject: "olga"}
	dora, other := &policy.Principal{Issuer: "i", Subject: "dora", Groups: []string{"x"}}, &policy.Principal{Issuer: "i", Subject: "other"}
	pat := &policy.Principal{Issuer: "i", Subject: "pat", Groups: []string{"ops"}}
	v := profiled(t, ops, dev, open, rest).view.Load()
	for _, x := range []struct {
		who    *policy.Principal
		itself string
		may    []string
	}{
		{none, "rest", []string{"open", "rest"}},
		{other, "rest", []string{"open", "rest"}},
		{olga, "ops", []string{"ops", "dev"}},
		{dora, "dev", []string{"dev"}},
		{pat, "ops", []string{"ops"}},
	} {
		c, ok := v.catalogFor("", x.who)
		if !ok || c.ProfileName() != x.itself {
			t.Errorf("%s gets %q", x.who, c.ProfileName())
		}
		var may []string
		for _, p := range v.cfg.Profiles {
			if c, ok := v.catalogFor("p/"+p.Name, x.who); ok {
				may = append(may, c.ProfileName())
			}
		}
		if d := cmp.Diff(x.may, may); d != "" {
			t.Errorf("%s may ask for: -want +got %s", x.who, d)
		}
		// One upstream is never more than the profile shows of it.
		for _, up := range []string{"a", "b"} {
			_, ok := v.catalogFor(up, x.who)
			if want := c.Sees(up); ok != want {
				t.Errorf("%s under /u/%s: %v, want %v", x.who, up, ok, want)
			}
		}
	}
}
