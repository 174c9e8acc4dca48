// Package raster draws the pictures of package plot into pixels, with an
// alphabet of its own, so that a PNG needs no font and no program.
//
// It does what the pictures here need and no more: polygons, lines of one width,
// and text as lines, in three steps a shape.
//
//	points of the picture -> how much of each pixel is covered -> colours
//
// The standard library has no font and no drawing of lines, and curves in a
// report are no reason for a dependency.
package raster

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/llamac/llamac/runtime/plot"
)

// scale is the number of pixels a side for one of the picture's: pictures are
// laid out for pages, whose screens have two by two for each.
const scale = 2

// PNG draws a picture, light, with two pixels for each of its own. Shapes whose
// style the picture lacks are left out. Equal pictures give equal bytes: there
// is no arithmetic but IEEE's, in a fixed order.
func PNG(p *plot.Picture) ([]byte, error) {
	c := &canvas{RGBA: image.NewRGBA(image.Rect(0, 0, scale*p.Width, scale*p.Height))}
	c.cover = make([]float64, len(c.Pix)/4)
	for _, s := range p.Shapes {
		i := slices.IndexFunc(p.Styles, func(y plot.Style) bool { return y.Name == s.Style })
		if i < 0 {
			continue
		}
		c.shape(s, p.Styles[i])
	}
	var b bytes.Buffer
	err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, c)
	return b.Bytes(), err
}

// canvas is an image with the coverage of the shape that is being drawn.
//
// A shape is drawn in two steps: its lines and areas say how much of each pixel
// they cover, and then the colour is blended in by that share. What overlaps
// itself, such as the corners of a line or the strokes of a letter, is thereby
// painted once, which matters where a style is not opaque.
type canvas struct {
	*image.RGBA
	cover  []float64       // by pixel, 0 to 1
	window image.Rectangle // outside of it nothing is covered
}

// shape draws one shape. A circle is a polygon of 64 corners, which at the sizes
// of marks is rounder than its pixels; a letter is a few lines.
func (c *canvas) shape(s plot.Shape, y plot.Style) {
	points := make([]plot.Point, len(s.Points))
	for i, p := range s.Points {
		points[i] = plot.Point{X: scale * p.X, Y: scale * p.Y}
	}
	opacity := y.Opacity
	if opacity == 0 {
		opacity = 1
	}
	switch s.Kind {
	case plot.Line:
		for _, part := range dashes(points, y.Dash) {
			c.stroke(part, scale*y.Width)
		}
		c.paint(y.Stroke, opacity)
	case plot.Area:
		c.fill(points)
		c.paint(y.Fill, opacity)
	case plot.Circle:
		edge := make([]plot.Point, 64)
		for i := range edge {
			sin, cos := math.Sincos(2 * math.Pi * float64(i) / float64(len(edge)))
			edge[i] = plot.Point{X: points[0].X + scale*s.Radius*cos, Y: points[0].Y + scale*s.Radius*sin}
		}
		c.fill(edge)
		c.paint(y.Fill, opacity)
		if y.Stroke != "" {
			c.stroke(append(edge, edge[0]), scale*y.Width)
			c.paint(y.Stroke, opacity)
		}
	case plot.Text:
		weight := 0.09 // width of a letter's strokes by its size
		if y.Bold {
			weight = 0.14
		}
		for _, line := range letters(s, points[0], scale*y.Size) {
			c.stroke(line, weight*scale*y.Size)
		}
		c.paint(y.Fill, opacity)
	}
}

// stroke covers a line of a width with round ends and corners. A pixel is
// covered by how far the line's edge is from its middle: wholly from half a
// pixel inside on, not at all from half a pixel outside, and in between by the
// distance, which is right for straight edges along the grid and close to it for
// others.
func (c *canvas) stroke(points []plot.Point, width float64) {
	r := max(width, 1) / 2
	for i, a := range points {
		b := points[min(i+1, len(points)-1)] // a single point is a dot
		if i > 0 && i == len(points)-1 {
			break
		}
		box := image.Rect(int(min(a.X, b.X)-r-1), int(min(a.Y, b.Y)-r-1), int(max(a.X, b.X)+r+2), int(max(a.Y, b.Y)+r+2)).Intersect(c.Rect)
		c.window = c.window.Union(box)
		dx, dy := b.X-a.X, b.Y-a.Y
		long := dx*dx + dy*dy
		for y := box.Min.Y; y < box.Max.Y; y++ {
			for x := box.Min.X; x < box.Max.X; x++ {
				px, py := float64(x)+0.5-a.X, float64(y)+0.5-a.Y
				t := 0.0 // where on the way from a to b the nearest point is
				if long > 0 {
					t = min(max((px*dx+py*dy)/long, 0), 1)
				}
				at := y*c.Rect.Dx() + x
				// The larger of both where pieces of the line meet, not the sum.
				c.cover[at] = max(c.cover[at], min(max(r+0.5-math.Hypot(px-t*dx, py-t*dy), 0), 1))
			}
		}
	}
}

// fill covers what points surround, in four rows a pixel with exact ends: each
// row is cut by the sides that it crosses, and every second piece is inside
// (the even-odd rule).
func (c *canvas) fill(points []plot.Point) {
	const rows = 4
	low, high := points[0], points[0]
	for _, p := range points {
		low, high = plot.Point{X: min(low.X, p.X), Y: min(low.Y, p.Y)}, plot.Point{X: max(high.X, p.X), Y: max(high.Y, p.Y)}
	}
	box := image.Rect(int(low.X), int(low.Y), int(high.X)+1, int(high.Y)+1).Intersect(c.Rect)
	c.window = c.window.Union(box)
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for k := range rows {
			at := float64(y) + (float64(k)+0.5)/rows
			var cross []float64
			// A corner in the row itself counts for the side below it alone, so
			// that the number of crossings is even.
			for i, a := range points {
				if b := points[(i+1)%len(points)]; (a.Y <= at) != (b.Y <= at) {
					cross = append(cross, a.X+(at-a.Y)/(b.Y-a.Y)*(b.X-a.X))
				}
			}
			slices.Sort(cross)
			for i := 0; i+1 < len(cross); i += 2 {
				for x := max(box.Min.X, int(cross[i])); x < box.Max.X && float64(x) < cross[i+1]; x++ {
					part := min(cross[i+1], float64(x+1)) - max(cross[i], float64(x))
					c.cover[y*c.Rect.Dx()+x] += max(part, 0) / rows
				}
			}
		}
	}
}

// paint blends a colour, #rrggbb, where the canvas is covered, and uncovers it.
// Without a colour it only uncovers. Blending is in the numbers of the file, not
// in light, as browsers do it.
func (c *canvas) paint(hex string, opacity float64) {
	n, err := strconv.ParseUint(strings.TrimPrefix(hex, "#"), 16, 32)
	paint := err == nil && hex != ""
	to := color.RGBA{uint8(n >> 16), uint8(n >> 8), uint8(n), 255}
	for y := c.window.Min.Y; y < c.window.Max.Y; y++ {
		for x := c.window.Min.X; x < c.window.Max.X; x++ {
			at := y*c.Rect.Dx() + x
			if a := min(c.cover[at], 1) * opacity; a > 0 && paint {
				old := c.RGBAAt(x, y)
				mix := func(from, to uint8) uint8 { return uint8(float64(from)*(1-a) + float64(to)*a + 0.5) }
				c.SetRGBA(x, y, color.RGBA{mix(old.R, to.R), mix(old.G, to.G), mix(old.B, to.B), 255})
			}
			c.cover[at] = 0
		}
	}
	c.window = image.Rectangle{}
}

// dashes cuts a line into strokes of the first length and gaps of the second,
// given as SVG has them ("4 3", in the picture's pixels). Strokes go around
// corners. Without two lengths the line stays whole.
func dashes(points []plot.Point, dash string) [][]plot.Point {
	f := strings.Fields(dash)
	if len(f) != 2 {
		return [][]plot.Point{points}
	}
	var lengths [2]float64
	for i := range lengths {
		lengths[i], _ = strconv.ParseFloat(f[i], 64)
		lengths[i] = max(scale*lengths[i], 1)
	}
	var out [][]plot.Point
	on, left := 0, lengths[0]
	part := []plot.Point{points[0]}
	for i := 1; i < len(points); i++ {
		a, b := points[i-1], points[i]
		for d := math.Hypot(b.X-a.X, b.Y-a.Y); d > left; d = math.Hypot(b.X-a.X, b.Y-a.Y) {
			a = plot.Point{X: a.X + (b.X-a.X)*left/d, Y: a.Y + (b.Y-a.Y)*left/d}
			if on == 0 {
				out = append(out, append(part, a))
			}
			on = 1 - on
			left, part = lengths[on], []plot.Point{a}
		}
		left -= math.Hypot(b.X-a.X, b.Y-a.Y)
		part = append(part, b)
	}
	if on == 0 {
		out = append(out, part)
	}
	return out
}
