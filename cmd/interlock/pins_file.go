package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/policy/builtin"
	"github.com/interlock-mcp/interlock/policy/pin"
)

var errNotApproved = errors.New("nothing was approved")

// keptPins is what the lock file of the configuration holds, for when no gateway
// runs; nil if nothing is pinned.
func (r *reach) keptPins(names []string) (*admin.PinList, error) {
	cfg, err := config.Load(config.LoadOptions{Files: r.files})
	if err != nil {
		return nil, err
	}
	for i := range cfg.Policies {
		c := cfg.Policies[i].Pin
		if c == nil {
			continue
		}
		items, err := pin.Read(c.File)
		if err == nil {
			items, err = pin.Pick(items, names)
		}
		if bad := new(pin.NameError); errors.As(err, &bad) {
			return nil, &failure{exitFailed, err, bad.Mend}
		}
		if err != nil {
			return nil, err
		}
		list := &admin.PinList{File: c.File, Pins: make([]admin.Pin, len(items))}
		for n, i := range items {
			list.Pins[n] = admin.Pin{
				Name: i.Ref, Upstream: i.Upstream, Kind: string(i.Kind), Target: i.Name, State: string(i.State),
				Approved: i.Approved, At: i.At, By: i.By,
			}
		}
		return list, nil
	}
	return nil, nil
}

// pinsWhole returns what is wrong with the lock file of a configuration.
func pinsWhole(cfg *config.Config) error {
	for _, c := range cfg.Policies {
		if c.Pin != nil {
			if _, err := pin.Read(c.Pin.File); err != nil {
				return err
			}
		}
	}
	return nil
}

// pinsApart are the policies with a copy of the lock file in dir: servers that are
// started to look at them are not approved by that.
func pinsApart(policies []builtin.Config, dir string) ([]builtin.Config, error) {
	own := slices.Clone(policies)
	for i := range own {
		if own[i].Pin == nil {
			continue
		}
		mine := *own[i].Pin
		raw, err := os.ReadFile(mine.File)
		if mine.File = filepath.Join(dir, pin.FileName); err == nil {
			err = os.WriteFile(mine.File, raw, 0o600)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		own[i].Pin = &mine
	}
	return own, nil
}
