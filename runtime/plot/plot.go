// Package plot draws curves: a picture is a list of lines, areas, dots and
// texts with the names of their styles, and prints as an SVG without scripts or
// fonts of its own, light or dark as the viewer prefers.
package plot

import (
	"fmt"
	"html"
	"strings"
)

// Kind is what a shape is.
type Kind int

// The kinds of shapes, by what they need of Shape.
const (
	Line   Kind = iota // Points, open
	Area               // Points, closed and filled
	Circle             // Points[0], Radius
	Text               // Points[0], Text, Anchor, Turned
)

// Point is a place in pixels, from the upper left corner.
//
// Like all places of a picture it counts from its edge, not from a pixel's
// middle: a line of width 1 at 0.5 covers the first row or column.
type Point struct{ X, Y float64 }

// Shape is one piece of a picture.
type Shape struct {
	Kind   Kind
	Style  string // name of a Style
	Points []Point
	Radius float64
	Text   string
	Anchor string // "start", "middle" or "end": which end of the text is at the point
	Turned bool   // read from below to above
}

// Style says how shapes look. Colours are #rrggbb; none is not drawn. Those
// for dark pages stand in where they are given. Text is filled, lines have a
// stroke, areas and circles may have both.
type Style struct {
	Name                 string
	Fill, Stroke         string
	DarkFill, DarkStroke string
	Width                float64 // of strokes
	Opacity              float64 // 0 for all of it
	Size                 float64 // of text, in pixels
	Bold                 bool
	Dash                 string // lengths of strokes and gaps, as SVG has them
}

// Common are the styles of pages and axes, which every picture has:
//
//	page   the ground, drawn by New
//	label  what stands beside axes and below the title
//	title  the picture's name
//	grid   lines across the data, as faint as can be
//	axis   the lowest line, and ticks
var Common = []Style{
	{Name: "page", Fill: "#ffffff", DarkFill: "#14171c"},
	{Name: "label", Fill: "#69707d", DarkFill: "#98a0ad", Size: 13},
	{Name: "title", Fill: "#1f2430", DarkFill: "#e8eaee", Size: 20, Bold: true},
	{Name: "grid", Stroke: "#e6e8ec", DarkStroke: "#2a2f38", Width: 1},
	{Name: "axis", Stroke: "#69707d", DarkStroke: "#98a0ad", Width: 1},
}

// Picture is a drawing of a size in pixels, in the order of its shapes: later
// ones cover earlier ones. It is data, so that whatever draws it, the text of an
// SVG here or pixels elsewhere, draws the same.
type Picture struct {
	Width, Height int
	Label         string // what it shows, for those who cannot see it
	Styles        []Style
	Shapes        []Shape
}

// New is an empty page of a size in pixels. The label says what the picture
// shows; styles come beside those of Common and may not have their names.
func New(width, height int, label string, styles []Style) *Picture {
	p := &Picture{Width: width, Height: height, Label: label, Styles: append(append([]Style(nil), Common...), styles...)}
	w, h := float64(width), float64(height)
	p.Area("page", []Point{{0, 0}, {w, 0}, {w, h}, {0, h}})
	return p
}

// Line draws a line through points: one point gives a dot as wide as the line,
// none are not allowed.
func (p *Picture) Line(style string, points ...Point) {
	p.Shapes = append(p.Shapes, Shape{Kind: Line, Style: style, Points: points})
}

// Area fills what the points surround; where the line around it crosses itself,
// what it goes around twice is outside.
func (p *Picture) Area(style string, points []Point) {
	p.Shapes = append(p.Shapes, Shape{Kind: Area, Style: style, Points: points})
}

// Circle draws a circle of a radius in pixels, filled and with an edge as the
// style has them: the marks on a curve.
func (p *Picture) Circle(style string, at Point, radius float64) {
	p.Shapes = append(p.Shapes, Shape{Kind: Circle, Style: style, Points: []Point{at}, Radius: radius})
}

// Text writes a line whose anchor ("start", "middle", "end") is at a point, on
// the line that its letters stand on.
func (p *Picture) Text(style string, at Point, anchor, text string) {
	p.Shapes = append(p.Shapes, Shape{Kind: Text, Style: style, Points: []Point{at}, Text: text, Anchor: anchor})
}

// Turned writes a line whose middle is at a point, from below to above: the name
// of an axis on the left or on the right.
func (p *Picture) Turned(style string, at Point, text string) {
	p.Shapes = append(p.Shapes, Shape{Kind: Text, Style: style, Points: []Point{at}, Text: text, Anchor: "middle", Turned: true})
}

// SVG prints the picture as a file of its own. Equal pictures give equal bytes.
func (p *Picture) SVG() []byte {
	var b strings.Builder
	out := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	out(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`,
		p.Width, p.Height, p.Width, p.Height, html.EscapeString(p.Label))
	out("<style>\n%s</style>", p.css())
	for _, s := range p.Shapes {
		at := s.Points[0]
		switch s.Kind {
		case Line:
			out(`<polyline class="%s" points="%s"/>`, s.Style, points(s.Points))
		case Area:
			out(`<polygon class="%s" points="%s"/>`, s.Style, points(s.Points))
		case Circle:
			out(`<circle class="%s" cx="%.1f" cy="%.1f" r="%g"/>`, s.Style, at.X, at.Y, s.Radius)
		case Text:
			place := fmt.Sprintf(`x="%.1f" y="%.1f"`, at.X, at.Y)
			if s.Turned {
				place = fmt.Sprintf(`transform="translate(%.1f %.1f) rotate(-90)"`, at.X, at.Y)
			}
			if s.Anchor != "start" {
				place += fmt.Sprintf(` text-anchor="%s"`, s.Anchor)
			}
			out(`<text class="%s" %s>%s</text>`, s.Style, place, html.EscapeString(s.Text))
		}
	}
	out("</svg>")
	return []byte(b.String())
}

// points prints points to a tenth of a pixel, which is less than can be seen and
// keeps curves of hundreds of points short.
func points(ps []Point) string {
	parts := make([]string, len(ps))
	for i, p := range ps {
		parts[i] = fmt.Sprintf("%.1f,%.1f", p.X, p.Y)
	}
	return strings.Join(parts, " ")
}

// css prints the styles as plain classes without variables: old viewers show
// it too.
func (p *Picture) css() string {
	var b, dark strings.Builder
	b.WriteString("  text { font-family:system-ui,-apple-system,\"Segoe UI\",Helvetica,Arial,sans-serif }\n")
	for _, s := range p.Styles {
		fill := "none"
		if s.Fill != "" {
			fill = s.Fill
		}
		fmt.Fprintf(&b, "  .%s { fill:%s", s.Name, fill)
		if s.Stroke != "" {
			fmt.Fprintf(&b, "; stroke:%s; stroke-width:%g; stroke-linejoin:round", s.Stroke, s.Width)
		}
		if s.Dash != "" {
			fmt.Fprintf(&b, "; stroke-dasharray:%s", s.Dash)
		}
		if s.Opacity != 0 {
			fmt.Fprintf(&b, "; opacity:%g", s.Opacity)
		}
		if s.Size != 0 {
			fmt.Fprintf(&b, "; font-size:%gpx", s.Size)
		}
		if s.Bold {
			b.WriteString("; font-weight:600")
		}
		b.WriteString(" }\n")
		var d []string
		if s.DarkFill != "" {
			d = append(d, "fill:"+s.DarkFill)
		}
		if s.DarkStroke != "" {
			d = append(d, "stroke:"+s.DarkStroke)
		}
		if d != nil {
			fmt.Fprintf(&dark, "    .%s { %s }\n", s.Name, strings.Join(d, "; "))
		}
	}
	fmt.Fprintf(&b, "  @media (prefers-color-scheme: dark) {\n%s  }\n", dark.String())
	return b.String()
}
