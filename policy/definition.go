package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// Kind is what a definition is of.
type Kind string

// The kinds of definition.
const (
	Tool         Kind = "tool"
	Prompt       Kind = "prompt"
	Resource     Kind = "resource"
	Template     Kind = "resource_template"
	Instructions Kind = "instructions"
)

// Definition is what an upstream says of one thing that it offers. It does not
// change, and is the same pointer for as long as the upstream says the same.
type Definition struct {
	Upstream string
	Tags     []string
	// Trusted says that the upstream's annotations may be believed.
	Trusted bool
	Kind    Kind
	// Name is the upstream's own name, a resource's URI, "" for instructions.
	Name string
	// Exposed is the name that clients would see, "" if none would.
	Exposed string
	// Raw is the JSON as it came; of instructions a JSON string.
	Raw []byte

	once sync.Once
	hash string
}

// Hash is "sha256:" and the hexadecimal SHA-256 of the canonical form of Raw
// (RFC 8785). It is made once. What has no canonical form, such as an object with
// a key twice, is hashed as it came.
func (d *Definition) Hash() string {
	d.once.Do(func() {
		canonical := jsontext.Value(append([]byte(nil), d.Raw...))
		if err := canonical.Canonicalize(); err != nil {
			canonical = d.Raw
		}
		sum := sha256.Sum256(canonical)
		d.hash = "sha256:" + hex.EncodeToString(sum[:])
	})
	return d.hash
}

// Verdict is what a vetter has to say of a definition.
type Verdict struct {
	Definition *Definition
	// Policy is the name of the policy; the chain fills it in.
	Policy string
	// Effect is Hide, Change or Report.
	Effect Effect
	// Reason is for people, a sentence without its full stop, with whatever the
	// upstream chose escaped.
	Reason string
	// Raw is what is listed in the place of the definition, for Change.
	Raw []byte
	// DryRun says that it is only reported. The chain fills it in.
	DryRun bool
}
