// Package schema validates JSON against JSON Schema, of the drafts that MCP tools
// use: 2020-12, which MCP means where a schema does not say, and draft-07.
//
// It exists beside two good libraries because a gateway compiles what strangers
// write and is called by strangers: work is counted and ends at a bound (allOf of
// allOf of allOf takes no library long to say, and for ever to do), recursion is
// bounded, nothing is ever fetched, numbers of any size are compared exactly, and a
// fault says where and what was wanted, and never what was there. Its tests run the
// official suite, and compare it with santhosh-tekuri/jsonschema, whose start-up
// alone takes 4 ms and 1.7 MB; google/jsonschema-go has no paths of instances and
// computes with float64.
//
// format, contentEncoding and their like are annotations, as 2020-12 has it, and
// are not checked. Patterns are Go's regular expressions (RE2): there is no
// backtracking, and what RE2 lacks, such as looking ahead, makes a schema one that
// cannot be used.
//
// A Schema never changes and is safe for concurrent use. The package starts no
// goroutine.
package schema

import (
	"fmt"
	"math/big"
	"regexp"
)

const (
	// MaxSize is how long a schema may be.
	MaxSize = 256 << 10
	// maxDepth is how deep schemas may lead to each other on the way to one value.
	maxDepth = 1000
	// maxSteps is how much work one validation may take: about a fifth of a second.
	maxSteps = 2_000_000
	// maxFaults is how many faults are told.
	maxFaults = 3
)

// UnusableError says why a schema cannot be used: it is malformed, too large, of
// another draft, has a pattern that RE2 cannot express, or refers to another one.
type UnusableError struct {
	// At is the JSON Pointer of the place in the schema.
	At string
	// Why is a sentence that continues "the schema", in ASCII and without its end.
	Why string
}

func (e *UnusableError) Error() string {
	if e.At == "" {
		return "the schema " + e.Why
	}
	return fmt.Sprintf("the schema %s (at %q)", e.Why, e.At)
}

// Schema is a compiled schema.
type Schema struct {
	root    *node
	dynamic map[string]*node // by URI, "#" and $dynamicAnchor
	tracked bool             // whether anything asks what was evaluated
}

// draft is a version of JSON Schema.
type draft int

const (
	draft2020 draft = iota
	draft7
)

// node is one compiled schema object. What is absent is nil, -1 or "".
type node struct {
	never, always bool // false and true
	base          string

	ref, dynamicRef *node
	dynamicName     string // "" if the reference is an ordinary one

	types kinds
	// Canonical forms, and what people are told of them.
	enum                   map[string]bool
	constant               string
	enumText, constantText string

	multipleOf, minimum, maximum, above, below *number
	minLength, maxLength                       int
	pattern                                    *regexp.Regexp

	prefix                   []*node
	items, contains          *node
	minContains, maxContains int
	minItems, maxItems       int
	unique                   bool

	properties         map[string]*node
	patterns           []patternProperty
	additional, names  *node
	minProps, maxProps int
	required           []string
	dependentRequired  []dependency
	dependentSchemas   []dependency

	allOf, anyOf, oneOf          []*node
	not, condition, then, orElse *node

	unevaluatedItems, unevaluatedProperties *node
}

type patternProperty struct {
	pattern *regexp.Regexp
	node    *node
}

// dependency is what must hold if there is a property.
type dependency struct {
	property string
	required []string
	node     *node
}

// number is a number of any size. exact is nil if small holds it.
type number struct {
	small int64
	exact *big.Rat
	text  string
}
