package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestReceiver(t *testing.T) {
	const good = `{"id":"1","event":"error","upstream":"files","state":"error","reason":"","stage":"spawn","at":"2026-11-22T15:04:05Z","down_since":null,"gateway":"g","text":"files is in error"}`
	var out strings.Builder
	rc := &receiver{out: &out, seen: make(map[string]bool)}
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"an alert", good, http.StatusNoContent},
		{"the same once more", good, http.StatusNoContent},
		{"something else", `{"hello":1}`, http.StatusBadRequest},
		{"no JSON", `hello`, http.StatusBadRequest},
	} {
		w := httptest.NewRecorder()
		rc.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(c.body)))
		if w.Code != c.status {
			t.Errorf("%s: %d, want %d", c.name, w.Code, c.status)
		}
	}
	if got, want := out.String(), "15:04:05  error           files is in error\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}
