package router

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// Kind is one of the four lists of a catalog.
type Kind uint8

// The kinds of list.
const (
	Tools Kind = iota
	Prompts
	Resources
	Templates
	kinds
)

// Kinds are all of them, in order.
func Kinds() []Kind { return []Kind{Tools, Prompts, Resources, Templates} }

// String is the member that holds the list in MCP's result, e.g. "tools".
func (k Kind) String() string {
	return [...]string{"tools", "prompts", "resources", "resourceTemplates"}[k]
}

// Noun is what a person calls one item.
func (k Kind) Noun() string {
	return [...]string{"tool", "prompt", "resource", "resource template"}[k]
}

// Offer is what one upstream brings. Build keeps its slices and maps and reads
// them as long as the catalog lives, so nobody may change them afterwards.
type Offer struct {
	Upstream string
	// Tags are what the operator calls it besides, for profiles.
	Tags []string
	// Prefix goes before its names, "" for none. Characters that names may not
	// have are replaced.
	Prefix string
	// Listed is false for an upstream that is not shown at the moment: one that
	// an operator stopped, or one beyond its list_grace. Its names are reserved
	// and routed all the same.
	Listed bool

	// The items as the upstream sent them, in its order.
	Tools, Prompts, Resources, Templates []json.RawMessage
	// Capabilities are the server's, a JSON object; nil if never learnt.
	Capabilities json.RawMessage
	Instructions string
	// Modern says that the server speaks 2026-07-28, whose tools clients of older
	// revisions cannot all read.
	Modern bool
	// TTL is for how long the items may be kept, 0 for not at all; Private says
	// that they are one user's.
	TTL     time.Duration
	Private bool

	// Allow and Deny are globs on the upstream's own tool names; * matches any
	// characters. Nothing allowed means all; deny wins.
	Allow, Deny []string
	// Rename and Describe give tools, by their own names, another name and
	// another description.
	Rename, Describe map[string]string
	// withheld are the items that Withhold was told, by list.
	withheld [kinds]map[string]struct{}

	// Idempotent are globs on own tool names that may be called twice.
	Idempotent []string
	// TrustAnnotations takes the tools' own hints for that as well.
	TrustAnnotations bool
}

func (o *Offer) items(k Kind) []json.RawMessage {
	return [...][]json.RawMessage{o.Tools, o.Prompts, o.Resources, o.Templates}[k]
}

// Withhold has clients neither see nor reach an item, by its own name or URI: it is
// as if it were not there, but that its name stays taken, so that a call of it never
// goes elsewhere.
func (o *Offer) Withhold(k Kind, own string) {
	if o.withheld[k] == nil {
		o.withheld[k] = make(map[string]struct{})
	}
	o.withheld[k][own] = struct{}{}
}

func (o *Offer) withholds(k Kind, own string) bool {
	_, ok := o.withheld[k][own]
	return ok
}

// Route says where a client-visible name leads. It never changes.
type Route struct {
	// Upstream is the name of the upstream, "" for the gateway itself (only the
	// resource InstructionsURI).
	Upstream string
	// Target is the upstream's own name or URI, Quoted the same as JSON.
	Target string
	Quoted []byte
	// Exposed is the name or URI that clients use.
	Exposed string
	// Listed is false while the upstream's offer is not listed.
	Listed bool
	// Chosen says that the URI is in no list: the client made it, after a template or
	// for an upstream that takes any.
	Chosen bool
	// Idempotent tells that a call may be made twice.
	Idempotent bool
	// Headers are the arguments of a tool that are mirrored into HTTP headers.
	Headers []HeaderParam
	// Problem says what was done to the name, "" for nothing.
	Problem string

	seq  int32 // its place among the entries of its catalog
	item int32 // its place among its upstream's items
}

// ProblemKind sorts problems.
type ProblemKind string

// The kinds of problem.
const (
	// Collision: another upstream, or another item of the same, has the name.
	Collision ProblemKind = "collision"
	// Hidden: the name could mislead whoever reads it.
	Hidden ProblemKind = "hidden"
	// Malformed: the item is not what the protocol asks for, and a client's
	// strict reader would refuse the whole list for it.
	Malformed ProblemKind = "malformed"
	// Shortened and Replaced: the item is listed under a changed name.
	Shortened ProblemKind = "shortened"
	Replaced  ProblemKind = "replaced"
	// Unaccepted: in transparent mode a name passes that some model APIs refuse.
	Unaccepted ProblemKind = "unaccepted"
	// Cut: the instructions are longer than their share.
	Cut ProblemKind = "cut"
	// Idle: a rule of a profile matches nothing.
	Idle ProblemKind = "idle"
)

// Problem is something that an operator may want to mend. Its strings are safe
// to print: what an upstream chose is escaped and cut at 128 characters.
type Problem struct {
	Kind     ProblemKind `json:"kind"`
	List     string      `json:"list,omitempty"` // the list it is about, e.g. "tools"
	Upstream string      `json:"upstream"`
	Profile  string      `json:"profile,omitempty"` // the profile that it is about
	Name     string      `json:"name,omitempty"`    // the upstream's own name or URI
	Exposed  string      `json:"exposed,omitempty"` // what clients see or would have seen
	Other    string      `json:"other,omitempty"`   // the upstream that has the name
	Text     string      `json:"text"`
	Mend     string      `json:"mend,omitempty"`
}

func (p Problem) String() string {
	if p.Mend == "" {
		return p.Text
	}
	return p.Text + "; " + p.Mend
}

// Entry is one item of a list for people to read.
type Entry struct {
	Exposed     string `json:"exposed"`
	Upstream    string `json:"upstream"`
	Name        string `json:"name"` // the upstream's own name or URI
	Description string `json:"description,omitempty"`
	Listed      bool   `json:"listed"`
	// Item is the object as clients get it, not to be changed.
	Item json.RawMessage `json:"-"`
}

// printable returns s with everything escaped that could disturb or mislead a
// reader, cut at 128 characters.
func printable(s string) string {
	cut := false
	if utf8.RuneCountInString(s) > maxOwnName {
		n := 0
		for i := range s {
			if n == maxOwnName {
				s, cut = s[:i], true
				break
			}
			n++
		}
	}
	q := strconv.Quote(s)
	if textFault(s) != "" {
		q = strconv.QuoteToASCII(s)
	}
	q = q[1 : len(q)-1]
	if cut {
		q += "…"
	}
	return q
}

func quoted(s string) string { return `"` + printable(s) + `"` }
