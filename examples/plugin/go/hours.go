package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/interlock-mcp/interlock/policy"
)

// hours are when the office is open.
type hours struct {
	from, to time.Duration // since midnight
	days     []time.Weekday
	zone     *time.Location
}

// parse reads the section of the configuration, and says all that is wrong with it.
func parse(config []byte) (*hours, error) {
	c := struct {
		From, To, Zone string
		Days           []string
	}{From: "08:30", To: "17:30", Zone: "UTC", Days: []string{"Mon", "Tue", "Wed", "Thu", "Fri"}}
	in := json.NewDecoder(bytes.NewReader(config))
	in.DisallowUnknownFields()
	if err := in.Decode(&c); err != nil {
		return nil, err
	}
	var errs []error
	bad := func(key, text, mend string) {
		errs = append(errs, &policy.FieldError{Path: []string{key}, Text: text, Mend: mend})
	}
	h := new(hours)
	for key, t := range map[string]struct {
		text string
		at   *time.Duration
	}{"from": {c.From, &h.from}, "to": {c.To, &h.to}} {
		clock, err := time.Parse("15:04", t.text)
		if err != nil {
			bad(key, "is not a time of the day", "write it like 08:30")
			continue
		}
		*t.at = time.Duration(clock.Hour())*time.Hour + time.Duration(clock.Minute())*time.Minute
	}
	if len(errs) == 0 && h.to <= h.from {
		bad("to", "is not after from", "")
	}
	var err error
	if h.zone, err = time.LoadLocation(c.Zone); err != nil {
		bad("zone", "is not a time zone", "write one like Europe/Berlin")
	}
	for _, name := range c.Days {
		day := slices.Index([]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}, name)
		if day < 0 {
			bad("days", "has something that is no day", "write Mon, Tue, Wed, Thu, Fri, Sat, Sun")
			break
		}
		h.days = append(h.days, time.Weekday(day))
	}
	if len(c.Days) == 0 {
		bad("days", "is empty", "name at least one")
	}
	return h, errors.Join(errs...)
}

// opens is how long it is until the office opens, 0 while it is open.
func (h *hours) opens(now time.Time) time.Duration {
	now = now.In(h.zone)
	for ahead := range 8 {
		y, m, d := now.Date()
		midnight := time.Date(y, m, d+ahead, 0, 0, 0, 0, h.zone)
		if !slices.Contains(h.days, midnight.Weekday()) {
			continue
		}
		opens, closes := clock(midnight, h.from), clock(midnight, h.to)
		switch {
		case now.Before(opens):
			return opens.Sub(now)
		case now.Before(closes):
			return 0
		}
	}
	return 7 * 24 * time.Hour // not reached: one of seven days is open
}

// clock is the moment of a day at which its clocks show at.
func clock(midnight time.Time, at time.Duration) time.Time {
	y, m, d := midnight.Date()
	return time.Date(y, m, d, int(at.Hours()), int(at.Minutes())%60, 0, 0, midnight.Location())
}
