package access

import (
	"strings"

	"cel.dev/cel-go/common/cost"
)

// sizes are what a rule's cost is estimated with when it is compiled: calls with
// lists of up to 50 items and strings of up to 50 characters, nested up to four
// deep. A rule that costs too much with those is a mistake. Longer arguments come,
// and then cost_limit holds when the rule is evaluated.
type sizes struct{}

const (
	usualSize  = 50
	usualDepth = 4
)

// EstimateSize returns how long a value from outside of the rule is.
func (sizes) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	depth := 0
	for _, step := range n.Path() {
		if strings.HasPrefix(step, "@") {
			depth++
		}
	}
	if depth > usualDepth {
		return nil
	}
	usual := &cost.SizeEstimate{Max: usualSize}
	if len(n.Path()) == 0 { // of what a function returned nobody asks further
		for range usualDepth {
			usual = &cost.SizeEstimate{Max: usualSize, Elem: usual}
		}
	}
	return usual
}

// EstimateCallCost leaves calls to the cost model.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}
