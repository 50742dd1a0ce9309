package admin

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var echoPin = Pin{Name: "files/echo", Upstream: "files", Kind: "tool", Target: "echo", State: "new", Now: "hidden", Hash: "sha256:12"}

func (f *fakeState) Pins(names []string) (PinList, error) {
	if len(names) > 0 && names[0] != "files" && names[0] != "files/echo" {
		return PinList{}, &Error{Code: CodeUnknownPin, Detail: "nothing is named " + names[0]}
	}
	return PinList{"/x/pins.yaml", []Pin{echoPin}}, nil
}

func (f *fakeState) PinDiffs(names []string) ([]PinDiff, error) {
	list, err := f.Pins(names)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	return []PinDiff{{list.Pins[0], []PinLine{{"+", "{}"}}}}, nil
}

func (f *fakeState) ApprovePins(ctx context.Context, refs []string) ([]Pin, error) {
	for _, r := range refs {
		if r != "files/echo@sha256:12" {
			return nil, &Error{Code: CodePinChanged, Detail: r + " is not what it was"}
		}
	}
	f.ordered = append(f.ordered, "approve "+strings.Join(refs, " "))
	return []Pin{echoPin}, nil
}

func TestPins(t *testing.T) {
	const pin = `{"name":"files/echo","upstream":"files","kind":"tool","target":"echo","state":"new","now":"hidden","hash":"sha256:12"`
	f := &fakeState{}
	h := Handler(Options{State: f})
	for _, c := range []struct {
		method, path, body string
		status             int
		has                string
	}{
		{"GET", "/v1/pins", "", 200, `{"file":"/x/pins.yaml","pins":[` + pin + `}]}`},
		{"GET", "/v1/pins?name=files", "", 200, pin},
		{"GET", "/v1/pins?name=nobody", "", 404, `"code":"unknown_pin"`},
		{"GET", "/v1/pins/diff", "", 200, `{"diffs":[]}`},
		{"GET", "/v1/pins/diff?name=files%2Fecho", "", 200, `{"diffs":[` + pin + `,"lines":[{"op":"+","text":"{}"}]}]}`},
		{"GET", "/v1/pins/diff?name=nobody", "", 404, `"code":"unknown_pin"`},
		{"POST", "/v1/pins/approve", `{"names":["files/echo@sha256:12"]}`, 200, `{"approved":[` + pin + `}]}`},
		{"POST", "/v1/pins/approve", `{"names":["files/echo@sha256:13"]}`, 409, `"code":"pin_changed"`},
		{"POST", "/v1/pins/approve", `{}`, 400, "names is missing"},
		{"POST", "/v1/pins/approve", `{"name":"x"}`, 400, "unknown field"},
		{"GET", "/v1/pins/approve", "", 405, "takes POST only"},
	} {
		w := ask(h, c.method, c.path, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.has) {
			t.Errorf("%s %s %s: %d %s, want %d and %s", c.method, c.path, c.body, w.Code, w.Body, c.status, c.has)
		}
	}
	if diff := cmp.Diff([]string{"approve files/echo@sha256:12"}, f.ordered); diff != "" {
		t.Errorf("approved (-want +got):\n%s", diff)
	}
}
