package gateway

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// What /metrics of a gateway shows is on docs/telemetry.md, names and labels: those
// that are exported over OTLP, the collector of telemetrytest holds against it.
func TestMetricsOfAGatewayAreDocumented(t *testing.T) {
	raw, err := os.ReadFile("../docs/telemetry.md")
	if err != nil {
		t.Fatal(err)
	}
	var told []string // in Prometheus' spelling
	for _, m := range regexp.MustCompile("`([a-z][a-z0-9_.]*)`").FindAllStringSubmatch(string(raw), -1) {
		told = append(told, strings.ReplaceAll(m[1], ".", "_"))
	}
	d := new(linktest.Dialer)
	d.Server("a").Tools, d.Server("a").OnRequest = []string{"echo"}, echo
	x := traces(t, settings(t, "a"), Options{Dialer: d}, nil)
	c := x.connect(`{}`)
	c.post(calls("1", "a__echo", `{}`))
	c.post(calls("2", "a__none", `{}`))
	w := httptest.NewRecorder()
	x.tel.MetricsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	families, labels := 0, 0
	for line := range strings.Lines(w.Body.String()) {
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, _, _ = strings.Cut(name, " ")
			families++
			// Those of Prometheus' own client are in every Go program.
			if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") && !slices.Contains(told, name) {
				t.Errorf("the page does not tell of %s", name)
			}
			continue
		}
		if !strings.HasPrefix(line, "interlock_") && !strings.HasPrefix(line, "mcp_") {
			continue
		}
		for _, m := range regexp.MustCompile(`[{,]([a-z_]+)="`).FindAllStringSubmatch(line, -1) {
			labels++
			if m[1] != "le" && !slices.Contains(told, m[1]) {
				t.Errorf("the page does not tell of the label %s in %s", m[1], line)
			}
		}
	}
	if families < 20 || labels < 50 {
		t.Errorf("%d metrics and %d labels found: does the test still read them?", families, labels)
	}
}
