package router

import (
	"slices"
	"testing"
)

func TestSmoke(t *testing.T) {
	p := Profile{Name: "p", Upstreams: []string{"a"}, Tools: ProfileTools{Deny: []string{"*__z"}, Rename: map[string]string{"a__x": "x"}, Describe: map[string]string{"a__y": "other"}}}
	c := Build(Defaults(), []Offer{offer("a", "x", "y", "z"), offer("b", "q")}, p)
	v, _ := c.Profile("p")
	if got := listed(t, v, Tools); !slices.Equal(got, []string{"x", "a__y"}) {
		t.Errorf("%v", got)
	}
	o, _ := v.Only("a")
	if got := listed(t, o, Tools); !slices.Equal(got, []string{"x", "y"}) {
		t.Errorf("%v", got)
	}
}
