package gateway

import (
	"context"
	"errors"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/pin"
	"github.com/interlock-mcp/interlock/telemetry"
)

// pinned is the policy that pins what upstreams offer.
func (g *Gateway) pinned() (*pin.Policy, error) {
	if p := g.rules.now.Load().made.Pins(); p != nil {
		return p, nil
	}
	return nil, &admin.Error{
		Code: admin.CodeNoPins, Detail: "nothing is pinned: no policy of kind pin runs", Mend: "add `- pin: {}` to policies and reload",
	}
}

// Pins returns what was approved or is offered, in the order of the lock file.
func (g *Gateway) Pins(names []string) (admin.PinList, error) {
	p, err := g.pinned()
	if err != nil {
		return admin.PinList{}, err
	}
	items, err := pin.Pick(p.List(), names)
	if err != nil {
		return admin.PinList{}, pinFault(err)
	}
	return admin.PinList{File: p.File(), Pins: pins(items)}, nil
}

// PinDiffs compares what is not as it was approved.
func (g *Gateway) PinDiffs(names []string) ([]admin.PinDiff, error) {
	p, err := g.pinned()
	if err != nil {
		return nil, err
	}
	all, err := p.Compare(names)
	if err != nil {
		return nil, pinFault(err)
	}
	out := make([]admin.PinDiff, len(all))
	for i, c := range all {
		out[i].Pin = pinView(c.Item)
		out[i].Lines = make([]admin.PinLine, len(c.Lines))
		for n, l := range c.Lines {
			out[i].Lines[n] = admin.PinLine(l)
		}
	}
	return out, nil
}

// ApprovePins approves definitions as an operator has seen them. On an error nothing
// is approved.
func (g *Gateway) ApprovePins(ctx context.Context, refs []string) ([]admin.Pin, error) {
	p, err := g.pinned()
	if err != nil {
		return nil, err
	}
	who := by(ctx)
	items, err := p.Approve(refs, who)
	if err != nil {
		return nil, pinFault(err)
	}
	for _, i := range items {
		name := escaped(i.Ref)
		g.log.InfoContext(ctx, "definition approved", telemetry.EventName, telemetry.LogApproved, "upstream", i.Upstream, "name", name, "hash", i.Hash, "by", who)
		g.happened(admin.Event{Kind: "order", Upstream: i.Upstream, Text: "the definition of " + name + " was approved by " + who})
		if g.tel.Auditing() {
			g.tel.Audit(telemetry.AuditLine{
				Kind: "action", Action: "pins approve", Issuer: "interlock", Principal: "operator", Name: who,
				Upstream: i.Upstream, Method: string(i.Kind), Target: i.Name, Exposed: i.Exposed, Definition: i.Hash,
			})
		}
	}
	return pins(items), nil
}

func pins(items []pin.Item) []admin.Pin {
	out := make([]admin.Pin, len(items))
	for i := range items {
		out[i] = pinView(items[i])
	}
	return out
}

func pinView(i pin.Item) admin.Pin {
	now := map[policy.Effect]string{
		policy.Allow: "served", policy.Report: "served", policy.Hide: "hidden", policy.Change: "blocked",
	}
	return admin.Pin{
		Name: i.Ref, Upstream: i.Upstream, Kind: string(i.Kind), Target: i.Name, Exposed: i.Exposed,
		State: string(i.State), Now: now[i.Effect], Hash: i.Hash, Approved: i.Approved, At: i.At, By: i.By,
		Reason: i.Reason, Same: i.Same,
	}
}

// pinFault is a fault of the pins as the admin API says it.
func pinFault(err error) error {
	name := new(pin.NameError)
	if !errors.As(err, &name) {
		return &admin.Error{Code: admin.CodeNotKept, Detail: "nothing was approved: " + err.Error(), Mend: "see that the lock file can be read and written to", Err: err}
	}
	code := admin.CodeUnknownPin
	switch {
	case errors.Is(err, pin.ErrNoHash):
		code = admin.CodeBadRequest
	case errors.Is(err, pin.ErrOther):
		code = admin.CodePinChanged
	case errors.Is(err, pin.ErrUnfit):
		code = admin.CodePinUnfit
	}
	return &admin.Error{Code: code, Detail: name.Text, Mend: name.Mend, Err: err}
}
