package report

// panel is the area within axes. Its y grows upwards, as values do.
type panel struct {
	*canvas
	left, top, right, bottom float64
	x, y                     axis
}

func (p panel) at(x, y float64) point { return point{p.px(x), p.py(y)} }
func (p panel) px(x float64) float64  { return p.left + p.x.pos(x)*(p.right-p.left) }
func (p panel) py(y float64) float64  { return p.bottom - p.y.pos(y)*(p.bottom-p.top) }

// drawY draws horizontal gridlines with their labels. The title stands above, where it needs
// not be read with the head aslant.
func (p panel) drawY(titleAt float64) {
	p.text("title", "start", 2, titleAt, p.y.title)
	free := p.bottom + 20
	for _, t := range p.y.ticks {
		y := p.py(t.at)
		p.line("grid", p.left, y, p.right, y)
		if y+14 <= free {
			p.text("tick", "end", p.left-8, y+4, t.label)
			free = y
		}
	}
}

// drawX draws the x axis: vertical gridlines, and labels as far as there is room.
func (p panel) drawX(labels bool) {
	free := -letter
	for _, t := range p.x.ticks {
		x := p.px(t.at)
		p.line("grid", x, p.top, x, p.bottom)
		half := textWidth(t.label) / 2
		if centre := min(x, p.width-half); labels && centre-half >= free+4 {
			p.text("tick", "middle", centre, p.bottom+17, t.label)
			free = centre + half
		}
	}
	p.line("axis", p.left, p.bottom, p.right, p.bottom)
	if labels {
		p.text("title", "end", p.right, p.bottom+36, p.x.title)
	}
}

// box is where a label stands.
type box struct{ left, top, right, bottom float64 }

func (b box) hits(o box) bool {
	return b.left < o.right && o.left < b.right && b.top < o.bottom && o.top < b.bottom
}

// labels places texts so that none covers another.
type labels struct {
	p     panel
	taken []box
}

// beside writes s at the lower right of a point on a rising curve, or at its upper left: both
// are clear of the curve. Where neither is free it is left out; the table has it.
func (l *labels) beside(at point, s string) {
	w := textWidth(s)
	for _, try := range []struct {
		anchor string
		x, y   float64
		left   float64
	}{
		{"start", at.x + 7, at.y + 16, at.x + 7},
		{"end", at.x - 7, at.y - 7, at.x - 7 - w},
		{"start", at.x + 7, at.y + 31, at.x + 7},
		{"end", at.x - 7, at.y - 22, at.x - 7 - w},
	} {
		b := box{try.left, try.y - 11, try.left + w, try.y + 3}
		if l.free(b) {
			l.taken = append(l.taken, b)
			l.p.text("label", try.anchor, try.x, try.y, s)
			return
		}
	}
}

func (l *labels) free(b box) bool {
	if b.left < l.p.left || b.right > l.p.width || b.bottom > l.p.bottom || b.top < 18 {
		return false
	}
	for _, o := range l.taken {
		if b.hits(o) {
			return false
		}
	}
	return true
}
