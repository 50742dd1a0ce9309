package upstream_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// TestStaleListsAreReadAgain: when they are shown, not too often, and now and
// then without that.
func TestStaleListsAreReadAgain(t *testing.T) {
	for _, c := range []struct {
		name, hint  string
		shown       time.Duration // how often, 0 for never
		least, most int           // lists in ten minutes, beside the first
	}{
		{"nothing said", "", time.Second, 0, 0},
		{"fresh for an hour", `,"ttlMs":3600000,"cacheScope":"public"`, time.Second, 0, 0},
		{"stale at once, shown all the time", `,"ttlMs":1,"cacheScope":"public"`, time.Second, 90, 120},
		{"fresh for a minute, shown all the time", `,"ttlMs":60000,"cacheScope":"public"`, time.Second, 9, 10},
		{"fresh for a minute, never shown", `,"ttlMs":60000,"cacheScope":"public"`, 0, 2, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := new(linktest.Dialer)
				s := d.Server("a")
				s.Version, s.Capabilities = "2026-07-28", json.RawMessage(`{"tools":{}}`)
				s.OnRequest = func(_ context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
					if method == "tools/list" {
						return json.RawMessage(`{"tools":[]` + c.hint + `}`), nil
					}
					return nil, nil
				}
				conf := upstream.Defaults()
				conf.Name, conf.URL = "a", "http://example.com/mcp"
				b := begin(t, d, conf)
				for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); {
					if c.shown == 0 {
						time.Sleep(10 * time.Minute)
						break
					}
					time.Sleep(c.shown)
					b.up("a").Freshen()
				}
				if n := s.Asked("tools/list") - 1; n < c.least || n > c.most {
					t.Errorf("listed %d times in ten minutes, want %d to %d", n, c.least, c.most)
				}
			})
		})
	}
}
