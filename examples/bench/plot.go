package main

import (
	"fmt"
	"html"
	"io"
	"math"
	"strconv"
	"strings"
)

// chart is one picture: panels beside each other over the same axis, which is
// logarithmic.
type chart struct {
	title, across string
	panels        []panel
}

// panel has a linear axis from 0.
type panel struct {
	up    string
	lines []line
}

type line struct {
	name   string
	points []point
}

// point has its spread around it.
type point struct {
	x float64
	y spread
}

// Measures of a picture in pixels: a panel, its margins.
const (
	wide, high             = 480.0, 300.0
	left, right, top, foot = 56.0, 16.0, 64.0, 48.0
)

var colours = []string{"#0b62c4", "#c4460b", "#3a8a2e", "#7a3fb0"}

// svg draws c.
func (c chart) svg(w io.Writer) error {
	var b strings.Builder
	all := wide * float64(len(c.panels))
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" font-family="sans-serif" font-size="12" fill="#222">`+"\n", all, high, all, high)
	fmt.Fprintf(&b, `<rect width="%g" height="%g" fill="#fff"/>`+"\n", all, high)
	text(&b, left, 18, "start", `font-size="14" font-weight="bold"`, c.title)
	for i := range c.panels {
		fmt.Fprintf(&b, `<g transform="translate(%g 0)">`+"\n", wide*float64(i))
		c.panels[i].draw(&b, c.across)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (p *panel) draw(b *strings.Builder, across string) {
	first, last, most := math.Inf(1), 1.0, 0.0
	for _, l := range p.lines {
		for _, at := range l.points {
			first, last, most = min(first, at.x), max(last, at.x), max(most, at.y.High)
		}
	}
	step := nice(most / 4)
	most = step * math.Ceil(most/step)
	x := func(v float64) float64 {
		return left + (wide-left-right)*math.Log(v/first)/math.Log(max(last/first, 1.01))
	}
	y := func(v float64) float64 { return high - foot - (high-top-foot)*v/most }

	for v := 0.0; v <= most*1.001; v += step {
		fmt.Fprintf(b, `<path d="M%.1f %.1fH%.1f" stroke="#ddd"/>`+"\n", left, y(v), wide-right)
		text(b, left-6, y(v)+4, "end", "", number(v))
	}
	for v := math.Pow(10, math.Ceil(math.Log10(first)-1e-9)); v <= last*1.001; v *= 10 {
		fmt.Fprintf(b, `<path d="M%.1f %.1fV%.1f" stroke="#ddd"/>`+"\n", x(v), top, high-foot)
		text(b, x(v), high-foot+16, "middle", "", number(v))
	}
	fmt.Fprintf(b, `<path d="M%.1f %.1fV%.1fH%.1f" stroke="#222" fill="none"/>`+"\n", left, top, high-foot, wide-right)
	text(b, (left+wide-right)/2, high-foot+36, "middle", "", across)
	text(b, left, 38, "start", "", p.up)
	named := left
	for i, l := range p.lines {
		colour := colours[i%len(colours)]
		var path strings.Builder
		for k, at := range l.points {
			fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(k, 1)], x(at.x), y(at.y.Median))
			fmt.Fprintf(b, `<path d="M%.1f %.1fV%.1f" stroke="%s" stroke-opacity=".5"/>`+"\n", x(at.x), y(at.y.Low), y(at.y.High), colour)
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x(at.x), y(at.y.Median), colour)
		}
		fmt.Fprintf(b, `<path d="%s" stroke="%s" stroke-width="2" fill="none"/>`+"\n", path.String(), colour)
		text(b, named, 56, "start", `fill="`+colour+`"`, "● "+l.name)
		named += 24 + 6.6*float64(len(l.name))
	}
}

func text(b *strings.Builder, x, y float64, anchor, more, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" %s>%s</text>`+"\n", x, y, anchor, more, html.EscapeString(s))
}

// nice is the least of 1, 2 or 5 times a power of ten that is not below v.
func nice(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, k := range []float64{1, 2, 5} {
		if k*power >= v*0.999 {
			return k * power
		}
	}
	return 10 * power
}

// number is v with commas between the thousands.
func number(v float64) string {
	s := strconv.FormatFloat(v, 'g', 6, 64)
	whole, rest, _ := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest != "" {
		return whole + "." + rest
	}
	return whole
}
