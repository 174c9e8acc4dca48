package raster

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"testing"

	"github.com/llamac/llamac/runtime/plot"
)

func draw(t *testing.T, shapes func(p *plot.Picture)) image.Image {
	t.Helper()
	p := plot.New(60, 40, "", []plot.Style{
		{Name: "red", Fill: "#ff0000", Size: 13}, {Name: "thin", Stroke: "#0000ff", Width: 2}, {Name: "dashed", Stroke: "#0000ff", Width: 2, Dash: "5 5"},
		{Name: "half", Fill: "#000000", Opacity: 0.5},
	})
	shapes(p)
	b, err := PNG(p)
	if err != nil {
		t.Fatal(err)
	}
	m, err := png.Decode(bytes.NewReader(b))
	if err != nil || m.Bounds() != image.Rect(0, 0, 120, 80) {
		t.Fatal(m.Bounds(), err)
	}
	return m
}

func colour(m image.Image, x, y int) color.RGBA {
	return color.RGBAModel.Convert(m.At(x, y)).(color.RGBA)
}

// TestShapes holds pixels inside of shapes, outside, and at edges that halve
// them.
func TestShapes(t *testing.T) {
	m := draw(t, func(p *plot.Picture) {
		p.Area("red", []plot.Point{{X: 10, Y: 10}, {X: 20.25, Y: 10}, {X: 20.25, Y: 20}, {X: 10, Y: 20}})
		p.Area("half", []plot.Point{{X: 10, Y: 10}, {X: 12, Y: 10}, {X: 12, Y: 12}, {X: 10, Y: 12}})
		p.Line("thin", plot.Point{X: 30, Y: 5}, plot.Point{X: 30, Y: 35})
		p.Line("dashed", plot.Point{X: 40, Y: 5}, plot.Point{X: 40, Y: 25})
		p.Circle("red", plot.Point{X: 50, Y: 20}, 4)
	})
	white, red, blue := color.RGBA{255, 255, 255, 255}, color.RGBA{255, 0, 0, 255}, color.RGBA{0, 0, 255, 255}
	for _, c := range []struct {
		x, y int
		want color.RGBA
	}{
		{5, 5, white}, {30, 30, red}, {19, 30, white}, {20, 30, red}, {40, 30, color.RGBA{255, 128, 128, 255}}, {41, 30, white},
		{22, 22, color.RGBA{128, 0, 0, 255}}, {60, 40, blue}, {63, 40, white}, {80, 14, blue}, {80, 25, white}, {80, 35, blue},
		{100, 40, red}, {110, 40, white},
	} {
		if got := colour(m, c.x, c.y); got != c.want {
			t.Errorf("pixel %d, %d is %v, want %v", c.x, c.y, got, c.want)
		}
	}
}

// TestText writes a letter whose lines are known, at both ends and turned.
func TestText(t *testing.T) {
	box := func(shapes func(p *plot.Picture)) image.Rectangle {
		m := draw(t, shapes)
		var r image.Rectangle
		for y := range 80 {
			for x := range 120 {
				if colour(m, x, y).G < 128 {
					r = r.Union(image.Rect(x, y, x+1, y+1))
				}
			}
		}
		return r
	}
	at := plot.Point{X: 30, Y: 20}
	start := box(func(p *plot.Picture) { p.Text("red", at, "start", "HH") })
	end := box(func(p *plot.Picture) { p.Text("red", at, "end", "HH") })
	turned := box(func(p *plot.Picture) { p.Turned("red", at, "HH") })
	if start.Min.X < 57 || start.Max.Y > 43 || start.Min.Y > 24 || end.Max.X > 63 || end.Dx() != start.Dx() {
		t.Errorf("starts in %v, ends in %v", start, end)
	}
	if turned.Max.X > 63 || turned.Dy() < start.Dx() || turned.Dy() > start.Dx()+1 || turned.Dx() != start.Dy() || turned.Min.Y+turned.Max.Y != 80 {
		t.Errorf("turned in %v, else in %v", turned, start)
	}
	for r, glyph := range alphabet {
		for i := 0; i+1 < len(glyph); i += 3 {
			if glyph[i] < '0' || glyph[i] > '4' || glyph[i+1] < '0' || glyph[i+1] > '8' {
				t.Errorf("%c: %q leaves the grid", r, glyph)
			}
		}
	}
}
