package main

import (
	"bytes"
	"encoding/xml"
	"image/png"
	"io"
	"strings"
	"testing"

	"github.com/llamac/llamac/internal/compile"
	"github.com/llamac/llamac/internal/raster"
	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/runtime/plot"
)

// TestCurvePicture draws odd curves: one corner, nothing recomputed, policies
// in one place, far below the last corner and far above. Everything must lie
// inside of the page, and texts beside marks apart from each other.
func TestCurvePicture(t *testing.T) {
	policies := func(at ...int64) (list []compile.CurvePolicy) {
		for i, name := range passes.Policies {
			list = append(list, compile.CurvePolicy{Name: name, Arena: at[2*i], FLOPs: at[2*i+1]})
		}
		return list
	}
	for name, c := range map[string]*compile.Curve{
		"one corner": {Points: []compile.CurvePoint{{Budget: 64}}, Minimum: 64, Maximum: 64, StepFLOPs: 1, Policies: policies(64, 0, 64, 0, 64, 0)},
		"three":      {Points: []compile.CurvePoint{{Budget: 1 << 20, FLOPs: 9e12}, {Budget: 2 << 20, FLOPs: 1e12}, {Budget: 3 << 20}}, Minimum: 1 << 20, Maximum: 3 << 20, StepFLOPs: 3e13, Policies: policies(9<<20, 0, 2<<20, 1e12, 2<<20, 2e13)},
		"near":       {Points: []compile.CurvePoint{{Budget: 1 << 40, FLOPs: 5e18}, {Budget: 1<<40 + 64}}, Minimum: 1 << 40, Maximum: 1<<40 + 64, StepFLOPs: 9e18, Policies: policies(1<<40+64, 0, 1<<40+64, 0, 1<<40, 5e18)},
	} {
		c.Name, c.Layers = name, 3
		c.Chosen = &passes.Checkpoints{Peak: c.Points[0].Budget, FLOPs: c.Points[0].FLOPs}
		p := curvePicture(c)
		svg := string(p.SVG())
		for d := xml.NewDecoder(strings.NewReader(svg)); ; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Errorf("%s: a place is no number", name)
		}
		var texts []plot.Point
		for _, s := range p.Shapes {
			for _, q := range s.Points {
				if q.X < 0 || q.Y < 0 || q.X > curveWidth || q.Y > curveHeight {
					t.Errorf("%s: %s at %v", name, s.Style, q)
				}
			}
			if s.Kind == plot.Text && (s.Style == "policy" || s.Style == "auto") && !strings.HasPrefix(s.Text, "minimum") {
				texts = append(texts, s.Points[0])
			}
		}
		for i, a := range texts {
			for _, b := range texts[:i] {
				if dx, dy := a.X-b.X, a.Y-b.Y; dx > -60 && dx < 60 && dy > -14 && dy < 14 {
					t.Errorf("%s: texts at %v and %v", name, a, b)
				}
			}
		}
		b, err := raster.PNG(p)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := png.Decode(bytes.NewReader(b)); err != nil || m.Bounds().Dx() != 2*curveWidth {
			t.Errorf("%s: PNG: %v", name, err)
		}
	}
}
