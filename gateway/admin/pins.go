package admin

import (
	"context"
	"net/http"
	"time"
)

// Pins are what upstreams offer, held against what was approved. Names are those
// of Pin.Name, or of upstreams for all of theirs; none stands for all. Where nothing
// is pinned the error is an *Error with CodeNoPins.
type Pins interface {
	// Pins returns all that was approved or is offered, in the order of the lock file.
	Pins(names []string) (PinList, error)
	// PinDiffs compares what is not as it was approved; what is gone if it is named.
	PinDiffs(names []string) ([]PinDiff, error)
	// ApprovePins approves all of refs or, on an error, nothing: each a Name with
	// "@sha256:" and the hash, or at least 32 digits of it, of what was seen. It returns
	// when that is written and what is offered is being vetted anew.
	ApprovePins(ctx context.Context, refs []string) ([]Pin, error)
}

// PinList is the answer of GET /v1/pins.
type PinList struct {
	// File is the lock file.
	File string `json:"file"`
	Pins []Pin  `json:"pins"`
}

// Pin is one definition and how it stands to what was approved.
type Pin struct {
	// Name is UPSTREAM/TOOL for a tool, UPSTREAM/KIND:NAME for others.
	Name     string `json:"name"`
	Upstream string `json:"upstream"`
	// Kind is tool, prompt, resource, resource_template or instructions.
	Kind string `json:"kind"`
	// Target is the upstream's own name of it, "" for instructions, and Exposed that
	// which clients use, "" for none.
	Target  string `json:"target,omitempty"`
	Exposed string `json:"exposed,omitempty"`
	// State is approved, new, changed, gone or unfit.
	State string `json:"state"`
	// Now is what clients see: served, hidden, or blocked, which is listed as it was
	// approved and cannot be called; "" for what is gone.
	Now string `json:"now,omitempty"`
	// Hash is that of what is offered, Approved that of what was approved.
	Hash     string    `json:"hash,omitempty"`
	Approved string    `json:"approved,omitempty"`
	At       time.Time `json:"approved_at,omitzero"`
	By       string    `json:"approved_by,omitempty"`
	// Reason says what is odd about it.
	Reason string `json:"reason,omitempty"`
	// Same names something that was approved and is the same but for its upstream or
	// its kind.
	Same string `json:"same_as,omitempty"`
}

// PinDiff is a Pin and what differs.
type PinDiff struct {
	Pin
	Lines []PinLine `json:"lines"`
}

// PinLine is a line of a comparison. Op is "-" for what was approved, "+" for what is
// offered, " " for both, and "…" where lines are left out that both have.
type PinLine struct {
	Op   string `json:"op"`
	Text string `json:"text"`
}

func (a *api) pins(w http.ResponseWriter, r *http.Request) error {
	list, err := a.State.Pins(r.URL.Query()["name"])
	if err != nil {
		return err
	}
	list.Pins = orEmpty(list.Pins)
	return writeJSON(w, http.StatusOK, list)
}

func (a *api) pinDiffs(w http.ResponseWriter, r *http.Request) error {
	diffs, err := a.State.PinDiffs(r.URL.Query()["name"])
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"diffs": orEmpty(diffs)})
}

// approveBody is the body of POST /v1/pins/approve.
type approveBody struct {
	Names []string `json:"names"`
}

func (a *api) approvePins(w http.ResponseWriter, r *http.Request) error {
	const shape = `{"names": ["UPSTREAM/TOOL@sha256:HASH"]}`
	var body approveBody
	if err := decode(w, r, &body, shape); err != nil {
		return err
	}
	if len(body.Names) == 0 {
		return &Error{Code: CodeBadRequest, Detail: "names is missing", Mend: "send " + shape}
	}
	pins, err := a.State.ApprovePins(r.Context(), body.Names)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"approved": orEmpty(pins)})
}
