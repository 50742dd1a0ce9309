package admin

import (
	"encoding/json"
	"net/http"
	"strings"
)

// told writes outcomes: a line for each as it comes, if the client takes that,
// else all in one object.
type told struct {
	w    http.ResponseWriter
	each func(Outcome) // nil for all in one
}

func outcomesTo(w http.ResponseWriter, r *http.Request) *told {
	t := &told{w: w}
	if !strings.Contains(r.Header.Get("Accept"), lines) {
		return t
	}
	rc := http.NewResponseController(w)
	begun := false
	t.each = func(o Outcome) {
		if !begun {
			begun = true
			writeHeader(w, http.StatusOK, lines)
		}
		if line, err := json.Marshal(o); err == nil { // the client is gone if the rest fails
			_, _ = w.Write(append(line, '\n'))
			_ = rc.Flush()
		}
	}
	return t
}

// all ends the answer.
func (t *told) all(out []Outcome) error {
	if t.each != nil && len(out) > 0 {
		return nil
	}
	return writeJSON(t.w, http.StatusOK, map[string]any{"outcomes": orEmpty(out)})
}
