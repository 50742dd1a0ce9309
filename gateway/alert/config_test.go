package alert

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	good := Config{[]Webhook{
		{URL: "https://h.example/x", Headers: map[string]Secret{"Authorization": "x"}, Events: Events()},
		{URL: "http://localhost:1/", Headers: map[string]Secret{"Authorization": "x"}, Timeout: maxTimeout},
		{URL: "http://u:p@h.example/", Headers: map[string]Secret{"authorization": "x"}, InsecureHTTP: true},
		{URL: "http://h.example/", Headers: map[string]Secret{"X": "x"}},
	}}
	if err := good.Validate(); err != nil {
		t.Errorf("refused: %v", err)
	}
	bad := Config{[]Webhook{
		{},
		{URL: "ftp://h/s3cret", MinDown: -1, Timeout: -1, Events: []Event{Error, "down"}},
		{URL: "https:///s3cret", Timeout: maxTimeout + 1},
		{URL: "http://u:s3cret@h.example/", Headers: map[string]Secret{"authorization": "s3cret", "a b": "s3cret"}},
		{URL: "https://h/", Headers: map[string]Secret{"X": "s3cret\n"}},
	}}
	err := bad.Validate()
	var got []string
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		got = append(got, e.Error())
	}
	slices.Sort(got)
	want := []string{
		"webhooks.0: needs a url",
		`webhooks.1.events.1: "down" is not an event`,
		"webhooks.1.min_down: must not be negative",
		"webhooks.1.timeout: must be between 0s and 1m0s",
		"webhooks.1.url: must be an address such as https://alerts.example.com/hook",
		"webhooks.2.timeout: must be between 0s and 1m0s",
		"webhooks.2.url: must be an address such as https://alerts.example.com/hook",
		"webhooks.3.headers.a b: is not an HTTP header",
		"webhooks.3.headers.authorization: would be sent in the clear",
		"webhooks.3.url: would send its password in the clear",
		"webhooks.4.headers.X: is not an HTTP header",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A configuration that is printed, in whatever way, shows no secret.
func TestSecretsDoNotPrint(t *testing.T) {
	c := Config{[]Webhook{{URL: "https://me:s3cret@h.example/s3cret?k=s3cret", Headers: map[string]Secret{"X": "s3cret"}}}}
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("c", "url", c.Webhooks[0].URL, "x", c.Webhooks[0].Headers["X"], "c", c)
	for _, s := range []string{string(raw), log.String(), fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c.Webhooks[0].URL, c.Webhooks[0].URL)} {
		if strings.Contains(s, "s3cret") {
			t.Errorf("shows a secret: %s", s)
		}
	}
	for in, want := range map[URL]string{
		"https://h.example/a/b": "https://h.example/***", "https://h.example/": "https://h.example/", "https://h.example": "https://h.example",
		"https://h.example?k=v": "https://h.example/***", "https://u@h.example": "https://h.example/***", "": "", "\x00": "***", "x": "***",
	} {
		if got := in.String(); got != want {
			t.Errorf("%q prints as %q, want %q", string(in), got, want)
		}
	}
}
