package report

import (
	"fmt"
	"html/template"
	"strings"
	"unicode/utf8"
)

// format is the size of a drawing. Each plot is drawn twice: a wide drawing that is scaled
// down to a phone would have letters of five pixels.
type format struct {
	name          string
	width, height float64
	left          float64 // room for the labels of the y axis
	bars, ticks   int     // at most
}

var (
	wide   = format{"wide", 560, 310, 56, 48, 8}
	narrow = format{"narrow", 340, 270, 52, 32, 5}
)

// letter is the width of a letter at the drawings' size of 12 px, on the safe side.
const letter = 7.4

func textWidth(s string) float64 { return letter * float64(utf8.RuneCountInString(s)) }

// canvas writes an SVG.
type canvas struct {
	format
	b strings.Builder
}

func newCanvas(f format, id, title, desc string) *canvas {
	c := &canvas{format: f}
	id += "-" + f.name
	fmt.Fprintf(&c.b, `<svg class="%s" viewBox="0 0 %g %g" role="img" aria-labelledby="%s-t %s-d">`, f.name, f.width, f.height, id, id)
	fmt.Fprintf(&c.b, `<title id="%s-t">%s</title><desc id="%s-d">%s</desc>`, id, escape(title), id, escape(desc))
	return c
}

func (c *canvas) svg() template.HTML {
	c.b.WriteString("</svg>")
	return template.HTML(c.b.String()) //nolint:gosec // G203: what is not ours went through escape
}

func escape(s string) string { return template.HTMLEscapeString(s) }

func (c *canvas) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(&c.b, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, class, x1, y1, x2, y2)
}

// text writes s with its anchor (start, middle, end) at x, and its baseline at y.
func (c *canvas) text(class, anchor string, x, y float64, s string) {
	fmt.Fprintf(&c.b, `<text class="%s" text-anchor="%s" x="%.1f" y="%.1f">%s</text>`, class, anchor, x, y, escape(s))
}

// bar draws a rectangle that says what it stands for when it is pointed at.
func (c *canvas) bar(class string, x, y, w, h float64, hint string) {
	fmt.Fprintf(&c.b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s</title></rect>`, class, x, y, w, h, escape(hint))
}

func (c *canvas) dot(class string, at point) {
	fmt.Fprintf(&c.b, `<circle class="dot %s" cx="%.1f" cy="%.1f" r="3"/>`, class, at.x, at.y)
}

type point struct{ x, y float64 }

// curve joins points. A lone one, which no line would show, becomes a dot.
func (c *canvas) curve(class string, points []point) {
	switch len(points) {
	case 0:
	case 1:
		c.dot(class, points[0])
	default:
		fmt.Fprintf(&c.b, `<path class="curve %s" d="M%s"/>`, class, joined(points))
	}
}

// area fills what is between points and the height base.
func (c *canvas) area(class string, points []point, base float64) {
	if len(points) < 2 {
		return
	}
	first, last := points[0], points[len(points)-1]
	fmt.Fprintf(&c.b, `<path class="area %s" d="M%.1f %.1fL%sL%.1f %.1fZ"/>`, class, first.x, base, joined(points), last.x, base)
}

func joined(points []point) string {
	var b strings.Builder
	for i, p := range points {
		if i > 0 {
			b.WriteByte('L')
		}
		fmt.Fprintf(&b, "%.1f %.1f", p.x, p.y)
	}
	return b.String()
}
