package router

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestInstructions(t *testing.T) {
	says := func(name, prefix, text string) Offer {
		return Offer{Upstream: name, Prefix: prefix, Listed: true, Instructions: text}
	}
	long := strings.Repeat("wörd ", 1000)
	off := says("off", "off", "not now")
	off.Listed = false
	for _, tc := range []struct {
		name   string
		offers []Offer
		want   string // "" means that the text is cut
		cut    []string
	}{
		{name: "none", offers: []Offer{says("a", "a", "")}},
		{name: "two", offers: []Offer{says("a", "a", " use a\n"), off, says("b", "", "use b")}, want: "# a (names begin with a__)\nuse a\n\n# b\nuse b"},
		{name: "transparent", offers: []Offer{says("a", "", long)}, want: long},
		{name: "cut", offers: []Offer{says("a", "a", long), says("b", "b", "short"), says("c", "c", long)}, cut: []string{"a", "c"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Build(Defaults(), tc.offers)
			got := c.Instructions()
			if len(tc.cut) == 0 {
				if got != tc.want || c.FullInstructions() != tc.want {
					t.Errorf("got %q, in full %q", got, c.FullInstructions())
				}
				if _, err := c.Resource(InstructionsURI); err == nil && len(listed(t, c, Resources)) > 0 {
					t.Error("the whole text is a resource without need")
				}
				return
			}
			if n := utf8.RuneCountInString(got); n > maxInstructions || n < maxInstructions*9/10 {
				t.Errorf("%d characters", n)
			}
			parts := strings.Split(got, "\n\n")
			if len(parts) != 4 || !strings.HasSuffix(parts[1], "\nshort") || parts[3] != wholeText {
				t.Errorf("parts %q", parts)
			}
			if a, c := len(parts[0]), len(parts[2]); a != c || !strings.HasSuffix(parts[0], "wörd…") {
				t.Errorf("shares of %d and %d: %q", a, c, parts[0])
			}
			if !strings.Contains(c.FullInstructions(), strings.TrimSpace(long)) {
				t.Error("the whole text is not whole")
			}
			r, err := c.Resource(InstructionsURI)
			if err != nil || r.Upstream != "" || r.Target != InstructionsURI || !r.Listed {
				t.Errorf("resource %+v, %v", r, err)
			}
			if got := listed(t, c, Resources); len(got) != 1 || got[0] != InstructionsURI {
				t.Errorf("resources %q", got)
			}
			var cut []string
			for _, p := range c.Problems() {
				if p.Kind == Cut {
					cut = append(cut, p.Upstream)
				}
			}
			if strings.Join(cut, " ") != strings.Join(tc.cut, " ") {
				t.Errorf("cut %q", cut)
			}
		})
	}
}

// However many upstreams there are, clients see no more than they keep.
func TestInstructionsOfMany(t *testing.T) {
	var offers []Offer
	for i := range 200 {
		offers = append(offers, Offer{Upstream: strings.Repeat("n", i%40+1), Prefix: "p", Listed: true, Instructions: strings.Repeat("ü", i)})
		if n := utf8.RuneCountInString(Build(Defaults(), offers).Instructions()); n > maxInstructions {
			t.Fatalf("%d upstreams: %d characters", i+1, n)
		}
	}
}

func TestFairShare(t *testing.T) {
	for _, tc := range []struct {
		lengths []int
		room    int
		want    int
	}{
		{[]int{10, 10}, 100, maxInstructions},
		{[]int{100, 100}, 100, 50},
		{[]int{10, 100, 100}, 100, 45},
		{[]int{100, 10, 20, 100}, 90, 30},
		{[]int{1, 1}, -5, 0},
	} {
		if got := fairShare(tc.lengths, tc.room); got != tc.want {
			t.Errorf("%v in %d: want %d, got %d", tc.lengths, tc.room, tc.want, got)
		}
	}
}
