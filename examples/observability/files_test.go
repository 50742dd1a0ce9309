package observability

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// TestConfigs validates what is Interlock's here.
func TestConfigs(t *testing.T) {
	files, err := filepath.Glob("interlock*.yaml")
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		cmd := exec.CommandContext(t.Context(), interlock, "validate", "-c", file)
		cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}
}

// own is what a configuration of Interlock says of telemetry.
type own struct {
	Telemetry struct {
		OTLP struct {
			Endpoint string
			Signals  []string
		}
		Metrics struct{ Listen string }
	}
}

// receives is what a configuration of a collector, which Jaeger is one of, listens
// on and hands on to.
type receives struct {
	Receivers struct {
		OTLP struct {
			Protocols struct{ GRPC, HTTP struct{ Endpoint string } }
		}
	}
	Exporters map[string]struct{ Endpoint string }
	Service   struct {
		Pipelines map[string]struct{ Receivers, Processors, Exporters []string }
	}
}

func decode[T any](t *testing.T, file string) (v T) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return v
}

var environment = regexp.MustCompile(`\$\{env:\w+:-([^}]*)\}`)

// defaults is an address as it is without variables in the environment.
func defaults(address string) string { return environment.ReplaceAllString(address, "$1") }

// TestAddresses follows each signal from file to file: who sends, sends to where
// somebody listens.
func TestAddresses(t *testing.T) {
	jaeger, collector := decode[receives](t, "jaeger.yaml"), decode[receives](t, "collector.yaml")
	direct, through := decode[own](t, "interlock.yaml").Telemetry, decode[own](t, "interlock-collector.yaml").Telemetry
	prometheus := decode[struct {
		ScrapeConfigs []struct {
			JobName       string                       `yaml:"job_name"`
			HonorLabels   bool                         `yaml:"honor_labels"`
			StaticConfigs []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}](t, "prometheus.yml")
	grafana := decode[struct {
		Datasources []struct {
			UID, URL string
			JSON     struct {
				Exemplars []struct {
					Name string
					UID  string `yaml:"datasourceUid"`
				} `yaml:"exemplarTraceIdDestinations"`
			} `yaml:"jsonData"`
		}
	}](t, "grafana/provisioning/datasources/interlock.yaml")
	compose := decode[struct {
		Services map[string]struct {
			Image       string
			Environment map[string]string
			Volumes     []string
		}
	}](t, "compose.yaml")

	for what, pair := range map[string][2]string{
		"Interlock sends to Jaeger":        {direct.OTLP.Endpoint, "http://" + defaults(jaeger.Receivers.OTLP.Protocols.HTTP.Endpoint)},
		"Interlock sends to the collector": {through.OTLP.Endpoint, "http://" + defaults(collector.Receivers.OTLP.Protocols.HTTP.Endpoint)},
		"the collector sends to Jaeger":    {defaults(collector.Exporters["otlphttp/jaeger"].Endpoint), "http://" + compose.Services["jaeger"].Environment["JAEGER_OTLP_HTTP"]},
		"Prometheus fetches of Interlock":  {prometheus.ScrapeConfigs[0].StaticConfigs[0].Targets[0], direct.Metrics.Listen},
		"Prometheus fetches of the collector": {
			prometheus.ScrapeConfigs[1].StaticConfigs[0].Targets[0], defaults(collector.Exporters["prometheus"].Endpoint),
		},
		"an exemplar leads to Jaeger": {grafana.Datasources[0].JSON.Exemplars[0].UID, grafana.Datasources[1].UID},
		"which is Jaeger":             {grafana.Datasources[1].URL, "http://127.0.0.1:16686"},
	} {
		if pair[0] != pair[1] || pair[0] == "" || pair[0] == "http://" {
			t.Errorf("%s: %q and %q", what, pair[0], pair[1])
		}
	}
	if s := direct.OTLP.Signals; len(s) != 1 || s[0] != "traces" {
		t.Errorf("Jaeger is sent %v", s)
	}
	for _, signal := range []string{"traces", "metrics", "logs"} {
		p := collector.Service.Pipelines[signal]
		if len(p.Receivers) == 0 || len(p.Exporters) == 0 {
			t.Errorf("the collector has no pipeline for %s", signal)
		}
	}
	for name, s := range compose.Services {
		if _, tag, ok := strings.Cut(s.Image, ":"); !ok || tag == "latest" {
			t.Errorf("the image of %s is not pinned: %s", name, s.Image)
		}
		for _, v := range s.Volumes {
			if _, err := os.Stat(strings.Split(v, ":")[0]); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
