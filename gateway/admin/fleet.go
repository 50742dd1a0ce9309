package admin

import (
	"net/http"
)

func (a *api) list(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	s := Select{State: q.Get("state"), Transport: q.Get("transport"), Name: q.Get("name")}
	if err := s.Validate(); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"upstreams": orEmpty(a.State.List(s))})
}

func (a *api) info(w http.ResponseWriter, r *http.Request) error {
	i, err := a.State.Info(r.PathValue("name"))
	if err != nil {
		return err
	}
	i.Offers.Tools, i.Offers.Prompts, i.Offers.Resources = orEmpty(i.Offers.Tools), orEmpty(i.Offers.Prompts), orEmpty(i.Offers.Resources)
	return writeJSON(w, http.StatusOK, i)
}

func (a *api) graph(w http.ResponseWriter, _ *http.Request) error {
	g := a.State.Graph()
	g.Nodes, g.Order, g.Critical = orEmpty(g.Nodes), orEmpty(g.Order), orEmpty(g.Critical)
	for i := range g.Nodes {
		n := &g.Nodes[i]
		n.DependsOn, n.Dependents, n.Stages = orEmpty(n.DependsOn), orEmpty(n.Dependents), orEmpty(n.Stages)
	}
	return writeJSON(w, http.StatusOK, g)
}

func (a *api) config(w http.ResponseWriter, _ *http.Request) error {
	c, err := a.State.Config()
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, c)
}
