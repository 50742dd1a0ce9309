package builtin

import (
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/pin"
)

// Made are policies made of their configuration. Nil stands for none.
type Made struct {
	Steps []policy.Step
	from  []Config
}

// renewed is a policy that reads files when it is made, and again when it is taken
// over. On an error it goes on with what it read before.
type renewed interface{ Renew() error }

// Make makes the policies, which must be valid. One that is configured as it was
// in before, by name and all, is the same one, with all that it knows; before is not
// changed. On an error nothing is left running that was not before.
func Make(all []Config, env policy.Env, before *Made) (*Made, error) {
	m := &Made{from: all}
	for i := range all {
		c := &all[i]
		_, s := c.section()
		p := before.same(c)
		if p == nil {
			var err error
			own := env
			own.Name, own.Log = c.Called(), env.Log.With("policy", c.Called())
			if p, err = s.New(own); err != nil {
				return nil, fmt.Errorf("policy %s: %w", c.Called(), closed(err, m.gone(before)))
			}
		} else if r, ok := p.(renewed); ok {
			if err := r.Renew(); err != nil {
				return nil, fmt.Errorf("policy %s: %w", c.Called(), closed(err, m.gone(before)))
			}
		}
		m.Steps = append(m.Steps, policy.Step{Name: c.Called(), Policy: p, OnError: c.OnError, DryRun: c.DryRun, Timeout: c.Timeout})
	}
	return m, nil
}

// same returns the policy that was made of the same configuration, nil for none.
// What the chain does, and not the policy, may differ.
func (m *Made) same(c *Config) policy.Policy {
	if m == nil {
		return nil
	}
	_, s := c.section()
	for i := range m.from {
		if _, old := m.from[i].section(); m.from[i].Called() == c.Called() && reflect.DeepEqual(old, s) {
			return m.Steps[i].Policy
		}
	}
	return nil
}

// gone are the policies of m that other has not.
func (m *Made) gone(other *Made) []policy.Policy {
	if m == nil {
		return nil
	}
	var out []policy.Policy
	for _, s := range m.Steps {
		if !other.has(s.Policy) {
			out = append(out, s.Policy)
		}
	}
	return out
}

func (m *Made) has(p policy.Policy) bool {
	if m == nil {
		return false
	}
	for _, s := range m.Steps {
		if s.Policy == p {
			return true
		}
	}
	return false
}

// Renew has the policies read their files again. On an error those that could not go
// on with what they read before.
func (m *Made) Renew() error {
	if m == nil {
		return nil
	}
	var errs []error
	for _, s := range m.Steps {
		if r, ok := s.Policy.(renewed); ok {
			if err := r.Renew(); err != nil {
				errs = append(errs, fmt.Errorf("policy %s: %w", s.Name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// Pins is the policy that pins definitions, nil if there is none.
func (m *Made) Pins() *pin.Policy {
	if m == nil {
		return nil
	}
	for _, s := range m.Steps {
		if p, ok := s.Policy.(*pin.Policy); ok {
			return p
		}
	}
	return nil
}

// CloseAllBut closes the policies of m that next has not. Nobody may consult them
// any more.
func (m *Made) CloseAllBut(next *Made) error { return closed(nil, m.gone(next)) }

// closed closes what can be closed and joins what goes wrong to err.
func closed(err error, all []policy.Policy) error {
	for _, p := range all {
		if c, ok := p.(io.Closer); ok {
			if cerr := c.Close(); cerr != nil {
				err = errors.Join(err, cerr)
			}
		}
	}
	return err
}
