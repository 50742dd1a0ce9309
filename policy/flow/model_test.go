package flow

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The memory knows of everybody what a reader of the whole history would say: all
// that came since the last silence that was long enough to forget.
func TestModel(t *testing.T) {
	const forgetAfter = time.Hour
	type event struct {
		at       time.Time
		key      string
		upstream string
		kinds    kinds
	}
	rapid.Check(t, func(t *rapid.T) {
		m := memory{forgetAfter: forgetAfter}
		var history []event
		now := time.Unix(1_000_000, 0)
		recall := func(key string) (all kinds, upstreams map[string]bool) {
			var last time.Time
			for _, e := range history {
				if e.key != key {
					continue
				}
				if e.at.Sub(last) >= forgetAfter {
					all, upstreams = 0, map[string]bool{}
				}
				all |= e.kinds
				upstreams[e.upstream] = true
				last = e.at
			}
			if now.Sub(last) >= forgetAfter {
				return 0, nil
			}
			return all, upstreams
		}
		key := rapid.SampledFrom([]string{"", "a", "b", "c"})
		upstream := rapid.SampledFrom([]string{"u", "v"})
		t.Repeat(map[string]func(*rapid.T){
			"time passes": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "minutes")) * time.Minute)
			},
			"something comes": func(t *rapid.T) {
				e := event{now, key.Draw(t, "key"), upstream.Draw(t, "upstream"), rapid.SampledFrom([]kinds{private, untrusted, private | untrusted}).Draw(t, "kinds")}
				want, _ := recall(e.key)
				before, after := m.add(e.key, e.upstream, e.kinds, now)
				history = append(history, e)
				if before != want || after != want|e.kinds {
					t.Fatalf("%q had %b and has %b, want %b and %b", e.key, before, after, want, want|e.kinds)
				}
			},
			"": func(t *rapid.T) {
				for _, k := range []string{"", "a", "b", "c"} {
					want, from := recall(k)
					got := m.of(k, now)
					if got.kinds != want {
						t.Fatalf("%q has %b, want %b", k, got.kinds, want)
					}
					for _, name := range append(got.private.names, got.untrusted.names...) {
						if !from[name] {
							t.Fatalf("%q has something of %s", k, name)
						}
					}
				}
			},
		})
	})
}
