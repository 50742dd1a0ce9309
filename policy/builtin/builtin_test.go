package builtin

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/pin"
	"github.com/interlock-mcp/interlock/policy/rate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limited is a policy of the kind rate that allows n calls a minute.
func limited(name string, n int) Config {
	return Config{Name: name, Rate: &rate.Config{Limits: []rate.Limit{{Rate: strconv.Itoa(n) + "/m"}}}}
}

// faults are the texts of what Validate says, with the path of each.
func faults(t *testing.T, all ...Config) []string {
	t.Helper()
	err := Validate(all)
	if err == nil {
		return nil
	}
	var out []string
	for _, one := range err.(interface{ Unwrap() []error }).Unwrap() {
		fe, ok := errors.AsType[*policy.FieldError](one)
		if !ok {
			t.Fatalf("%T is no *FieldError: %v", one, one)
		}
		out = append(out, fe.Error())
	}
	return out
}

func env() policy.Env {
	return policy.Env{Log: slog.New(slog.DiscardHandler), Again: func() {}}
}

func TestValidate(t *testing.T) {
	two := limited("both", 1)
	two.Pin = &pin.Config{}
	bad := limited("bad", 1)
	bad.OnError, bad.Timeout, bad.Rate.Limits[0].Rate = "shrug", -time.Second, "often"
	unnamed := limited("", 1)
	for name, c := range map[string]struct {
		all  []Config
		want []string // how each begins
	}{
		"none":           {nil, nil},
		"good":           {[]Config{limited("a", 1), limited("b", 1), unnamed}, nil},
		"no kind":        {[]Config{{Name: "a"}}, []string{"0: does not say what kind of policy it is"}},
		"two kinds":      {[]Config{two}, []string{"0." + two.Kind() + ": has "}},
		"one name twice": {[]Config{limited("a", 1), limited("a", 2)}, []string{`1.name: is "a", as policy 1 is called already`}},
		"by its kind":    {[]Config{unnamed, limited("rate", 2)}, []string{`1.name: is "rate", as policy 1 is called already`}},
		"two unnamed":    {[]Config{unnamed, unnamed}, []string{"1." + unnamed.Kind() + ": is called by its kind, as policy 1 is"}},
		"all at once": {[]Config{limited("a", 1), bad}, []string{
			"1.on_error: must be deny or allow", "1.timeout: must not be negative", "1.rate.limits.0.rate: ",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got := faults(t, c.all...)
			if len(got) != len(c.want) {
				t.Fatalf("faults %q, want %q", got, c.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], c.want[i]) {
					t.Errorf("fault %q, want %q", got[i], c.want[i])
				}
			}
		})
	}
}

// What is configured as it was is the same policy, whatever the chain does with it.
func TestMake(t *testing.T) {
	first, err := Make([]Config{limited("a", 1), limited("b", 1)}, env(), nil)
	if err != nil {
		t.Fatal(err)
	}
	a, b := limited("a", 1), limited("b", 2)
	a.DryRun, a.OnError, a.Timeout = true, policy.Allow, time.Second
	second, err := Make([]Config{b, a}, env(), first)
	if err != nil {
		t.Fatal(err)
	}
	if second.Steps[1].Policy != first.Steps[0].Policy {
		t.Error("a policy that was not changed is another one")
	}
	if second.Steps[0].Policy == first.Steps[1].Policy {
		t.Error("a policy that was changed is the same one")
	}
	if s := second.Steps[1]; s.Name != "a" || !s.DryRun || s.OnError != policy.Allow || s.Timeout != time.Second {
		t.Errorf("the step is %+v", s)
	}
	if third, err := Make([]Config{limited("c", 1)}, env(), first); err != nil || third.Steps[0].Policy == first.Steps[0].Policy {
		t.Errorf("under another name it is the same: %v", err)
	}
}

// A policy that cannot be had is named, and so is its file.
func TestMakeFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pins.yaml")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{Name: "held", Pin: &pin.Config{}}
	files := c.Files()
	if len(files) != 1 || !slices.Equal(files[0].Path, []string{"pin", "file"}) {
		t.Fatalf("files %+v", files)
	}
	*files[0].Value = file
	if c.Pin.File != file {
		t.Error("the path that was set is not the section's")
	}
	made, err := Make([]Config{limited("a", 1), c}, env(), nil)
	if err == nil || made != nil || !strings.HasPrefix(err.Error(), "policy held: ") {
		t.Errorf("made %v: %v", made, err)
	}
}
