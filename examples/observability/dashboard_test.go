package observability

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// dashboard is Grafana's, as far as it is looked at.
type dashboard struct {
	UID, Title  string
	Panels      []panel
	Annotations struct{ List []struct{ Name, Expr string } }
	Templating  struct {
		List []struct{ Name, Type, Definition string }
	}
}

type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               struct{ UID string }
	GridPos                  struct{ X, Y, W, H int }
	Repeat                   string
	Targets                  []struct {
		RefID, Expr, LegendFormat string
		Datasource                struct{ UID string }
		Exemplar                  bool
	}
}

func load(t *testing.T) dashboard {
	t.Helper()
	raw, err := os.ReadFile("grafana/interlock.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasSuffix(raw, []byte("}\n")) {
		t.Error("the file does not end with a newline")
	}
	return d
}

var variable = regexp.MustCompile(`\$\{?([a-zA-Z]\w*)`)

// TestDashboard looks at the dashboard as Grafana would: each panel is one of its
// own in a place of its own, what it shows is explained, and the variables that it
// uses exist.
func TestDashboard(t *testing.T) {
	d := load(t)
	if d.UID == "" || d.Title == "" || len(d.Panels) < 20 {
		t.Errorf("uid %q, title %q, %d panels", d.UID, d.Title, len(d.Panels))
	}
	defined := map[string]bool{}
	for _, v := range d.Templating.List {
		for _, m := range variable.FindAllStringSubmatch(v.Definition, -1) {
			if !defined[m[1]] {
				t.Errorf("variable %s asks for %s, which is not defined before it", v.Name, m[1])
			}
		}
		defined[v.Name] = true
	}
	ids, exemplars := map[int]string{}, 0
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		if other, twice := ids[p.ID]; twice || p.ID == 0 {
			t.Errorf("%q and %q have the id %d", p.Title, other, p.ID)
		}
		ids[p.ID] = p.Title
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, twice := taken[[2]int{x, y}]; twice || x >= 24 {
					t.Fatalf("%q lies on %q, or outside, at %d, %d", p.Title, other, x, y)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || p.Description == "" || len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
			t.Errorf("panel %d %q has no title, description, expression or datasource", p.ID, p.Title)
		}
		if p.Repeat != "" && !defined[p.Repeat] {
			t.Errorf("%q is repeated for %s, which is not defined", p.Title, p.Repeat)
		}
		refs := map[string]bool{}
		for _, x := range p.Targets {
			if refs[x.RefID] || x.RefID == "" || x.Datasource.UID != "${datasource}" {
				t.Errorf("%q: two expressions are %q, or one asks another datasource", p.Title, x.RefID)
			}
			refs[x.RefID] = true
			if x.Exemplar {
				exemplars++
			}
			for _, m := range variable.FindAllStringSubmatch(p.Title+" "+x.Expr, -1) {
				if !defined[m[1]] {
					t.Errorf("%q uses $%s, which is not defined", p.Title, m[1])
				}
			}
		}
	}
	if exemplars == 0 {
		t.Error("no panel shows exemplars, so none leads to a trace")
	}
}

// query is an expression of the dashboard, and labels that are shown of its series.
type query struct {
	where, expr string
	shows       []string
}

var shown = regexp.MustCompile(`\{\{(\w+)\}\}`)

// queries are all expressions: of panels, annotations and variables.
func (d dashboard) queries(t *testing.T) (all []query) {
	t.Helper()
	for _, p := range d.Panels {
		for _, x := range p.Targets {
			q := query{where: p.Title + " " + x.RefID, expr: x.Expr}
			for _, m := range shown.FindAllStringSubmatch(x.LegendFormat, -1) {
				q.shows = append(q.shows, m[1])
			}
			all = append(all, q)
		}
	}
	for _, a := range d.Annotations.List {
		all = append(all, query{where: "annotation " + a.Name, expr: a.Expr})
	}
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		rest, ok := strings.CutPrefix(v.Definition, "label_values(")
		at := strings.LastIndex(rest, ", ")
		if !ok || at < 0 || !strings.HasSuffix(rest, ")") {
			t.Fatalf("variable %s is not label_values(metric, label): %s", v.Name, v.Definition)
		}
		label := strings.TrimSuffix(rest[at+2:], ")")
		all = append(all, query{where: "variable " + v.Name, expr: "group by (" + label + ") (" + rest[:at] + ")"})
	}
	return all
}
