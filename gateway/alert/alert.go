package alert

import "time"

// Alert is one change, and the JSON object that a webhook gets. All members are
// always there, but for Tools.
type Alert struct {
	// ID is the same at each attempt to deliver it and at each receiver. Send sets
	// it.
	ID    string `json:"id"`
	Event Event  `json:"event"`
	// Upstream is its name in the configuration, State the one of the seven that
	// it was in.
	Upstream string `json:"upstream"`
	State    string `json:"state"`
	// Reason and Stage are those of the failure, also in Recovered, and "" where
	// there was none.
	Reason string `json:"reason"`
	Stage  string `json:"stage"`
	// At is when it happened, not when it was sent.
	At time.Time `json:"at"`
	// DownSince is when the outage began that this is a part of, null for none.
	DownSince *time.Time `json:"down_since"`
	// Gateway is its server.name.
	Gateway string `json:"gateway"`
	// Text says it in a sentence.
	Text string `json:"text"`
	// Tools is of ToolChanged alone.
	Tools *Tools `json:"tools,omitempty"`
}

// Tools are the upstream's own names of tools that differ. Each list has at most
// 100 of them; the counts are of all.
type Tools struct {
	Added        []string `json:"added"`
	Removed      []string `json:"removed"`
	Changed      []string `json:"changed"`
	AddedCount   int      `json:"added_count"`
	RemovedCount int      `json:"removed_count"`
	ChangedCount int      `json:"changed_count"`
}

// maxNames is how many names of a kind go into one alert.
const maxNames = 100

// NewTools returns Tools of those names.
func NewTools(added, removed, changed []string) *Tools {
	cut := func(names []string) []string {
		return append([]string{}, names[:min(len(names), maxNames)]...) // [] and not null
	}
	return &Tools{cut(added), cut(removed), cut(changed), len(added), len(removed), len(changed)}
}

// What becomes of an alert at one webhook, as Options.Count is told.
const (
	Delivered  = "delivered"
	Failed     = "failed"     // every attempt did, or the receiver refused it
	Dropped    = "dropped"    // the queue was full, or the gateway or the webhook is gone
	Suppressed = "suppressed" // the outage was shorter than min_down
)
