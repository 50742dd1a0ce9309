package demo

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // Windows and bare containers have no time zones of their own
)

// zones are the time zones that are proposed; every IANA name is understood.
var zones = []string{
	"Africa/Cairo", "Africa/Johannesburg", "Africa/Lagos", "Africa/Nairobi", "America/Bogota", "America/Chicago", "America/Denver",
	"America/Halifax", "America/Los_Angeles", "America/Mexico_City", "America/New_York", "America/Sao_Paulo", "America/Toronto",
	"Asia/Dubai", "Asia/Hong_Kong", "Asia/Jakarta", "Asia/Karachi", "Asia/Kolkata", "Asia/Seoul", "Asia/Shanghai", "Asia/Singapore",
	"Asia/Tokyo", "Australia/Perth", "Australia/Sydney", "Europe/Amsterdam", "Europe/Athens", "Europe/Berlin", "Europe/Helsinki",
	"Europe/Istanbul", "Europe/Lisbon", "Europe/London", "Europe/Madrid", "Europe/Moscow", "Europe/Paris", "Europe/Rome",
	"Europe/Stockholm", "Europe/Warsaw", "Europe/Zurich", "Pacific/Auckland", "Pacific/Honolulu", "UTC",
}

// moment is a time in a zone, as data.
type moment struct {
	Time     time.Time `json:"time"`
	Timezone string    `json:"timezone"`
	Offset   string    `json:"utc_offset"`
	Weekday  string    `json:"weekday"`
}

const momentSchema = `{"type":"object","properties":{"time":{"type":"string","format":"date-time"},` +
	`"timezone":{"type":"string"},"utc_offset":{"type":"string"},"weekday":{"type":"string"}},"required":["time","timezone","utc_offset","weekday"]}`

// clock tells the time.
func clock() *server {
	return &server{
		name: "clock", title: "Clock", instructions: "Tells the time anywhere. Time zones are IANA names such as Europe/Paris.",
		tools: []tool{
			{
				Name: "now", Title: "Current time", Description: "The current date and time, in a time zone.", Annotations: annotations{ReadOnly: true},
				InputSchema:  json.RawMessage(`{"type":"object","properties":{"timezone":{"type":"string","description":"IANA name, UTC if left out","default":"UTC"}}}`),
				OutputSchema: json.RawMessage(momentSchema), call: now,
			},
			{
				Name: "convert", Title: "Convert a time", Description: "What a moment's clocks show in another time zone.", Annotations: reads,
				InputSchema: json.RawMessage(`{"type":"object","properties":{"time":{"type":"string","description":"RFC 3339, e.g. 2026-11-22T18:30:00Z"},` +
					`"timezone":{"type":"string","description":"IANA name"}},"required":["time","timezone"]}`),
				OutputSchema: json.RawMessage(momentSchema), call: convert,
			},
			{
				Name: "timezones", Title: "Time zones", Description: "Common time zones and their offset from UTC now.", Annotations: reads,
				InputSchema: json.RawMessage(`{"type":"object","properties":{"filter":{"type":"string","description":"only names that contain this"}}}`),
				call:        timezones,
			},
		},
	}
}

func at(t time.Time, zone string) (*result, error) {
	l, err := time.LoadLocation(cmp.Or(zone, "UTC"))
	if err != nil || zone == "Local" {
		return nil, fmt.Errorf("%q is no time zone: use an IANA name such as Europe/Paris; the tool timezones lists common ones", zone)
	}
	t = t.In(l)
	m := moment{t.Truncate(time.Second), l.String(), t.Format("-07:00"), t.Weekday().String()}
	return say(t.Format("Monday, 2 January 2006, 15:04:05 MST")+" ("+l.String()+")", m), nil
}

func now(_ context.Context, c *call) (*result, error) {
	var a struct{ Timezone string }
	if err := c.bind(&a); err != nil {
		return nil, err
	}
	return at(time.Now(), a.Timezone)
}

func convert(_ context.Context, c *call) (*result, error) {
	var a struct{ Time, Timezone string }
	if err := c.bind(&a); err != nil {
		return nil, err
	}
	t, err := time.Parse(time.RFC3339, a.Time)
	if err != nil {
		return nil, fmt.Errorf("%q is not in the form 2026-11-22T18:30:00Z", a.Time)
	}
	return at(t, a.Timezone)
}

func timezones(_ context.Context, c *call) (*result, error) {
	var a struct{ Filter string }
	if err := c.bind(&a); err != nil {
		return nil, err
	}
	t := time.Now()
	var lines []string
	for _, z := range zones {
		if l, err := time.LoadLocation(z); err == nil && strings.Contains(strings.ToLower(z), strings.ToLower(a.Filter)) {
			lines = append(lines, t.In(l).Format("-07:00")+" "+z)
		}
	}
	if lines == nil {
		return nil, fmt.Errorf("no common time zone contains %q", a.Filter)
	}
	slices.Sort(lines)
	return say(strings.Join(lines, "\n"), nil), nil
}
