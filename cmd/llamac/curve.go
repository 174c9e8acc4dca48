package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/llamac/llamac/internal/compile"
	"github.com/llamac/llamac/internal/gobuild"
	"github.com/llamac/llamac/internal/raster"
	"github.com/llamac/llamac/runtime/plot"
	"github.com/llamac/llamac/specs"
)

// curveFormats are the endings of files that a curve can be written to.
var curveFormats = map[string]func(*compile.Curve) ([]byte, error){
	".svg":  func(c *compile.Curve) ([]byte, error) { return curvePicture(c).SVG(), nil },
	".png":  func(c *compile.Curve) ([]byte, error) { return raster.PNG(curvePicture(c)) },
	".json": func(c *compile.Curve) ([]byte, error) { return json.MarshalIndent(c, "", "  ") },
}

// curveFile is a file for a curve; what it must be called is said before
// anything is computed.
type curveFile string

// Decode takes the flag's value. Without it, or with an ending that stands for
// no format, the error says what is wanted; the parser puts the flag's name in
// front.
func (f *curveFile) Decode(ctx *kong.DecodeContext) error {
	const want = "the name must end in .svg, .png or .json"
	// Another flag is no file: the name was forgotten.
	if t := ctx.Scan.Peek(); t.Type == kong.EOLToken || strings.HasPrefix(t.String(), "-") {
		return errors.New("which file? " + want)
	}
	name := ctx.Scan.Pop().String()
	if curveFormats[strings.ToLower(filepath.Ext(name))] == nil {
		return fmt.Errorf("%q: %s", name, want)
	}
	*f = curveFile(name)
	return nil
}

// writeCurve writes what memory of activations costs in recomputation, in the
// format of the file's ending: a picture for a page, one for anything else, or
// the numbers. What it did goes to standard error, as for all files written.
func writeCurve(s *specs.Spec, file string) error {
	format := curveFormats[strings.ToLower(filepath.Ext(file))] // which the flag made sure of
	if err := notSpec(file, s); err != nil {
		return err
	}
	c, err := compile.CheckpointCurve(s, compile.Options{})
	if err != nil {
		return err
	}
	b, err := format(c)
	if err != nil {
		return err
	}
	// A text file ends with a newline; pictures do not mind one behind their end.
	if err := gobuild.WriteFile(file, append(b, '\n')); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s: %d corners from %s to %s%s\n", file, len(c.Points), size(c.Minimum), size(c.Maximum), apart(c))
	return nil
}

// apart says of a curve that is not complete how far it may be off.
func apart(c *compile.Curve) string {
	if c.Complete {
		return ""
	}
	return fmt.Sprintf(", in steps of %s or more", size(c.Resolution))
}

// curveStyles: blue is what the policy auto can do, red what the fixed policies
// do. Colours are those of the loss curve.
var curveStyles = []plot.Style{
	{Name: "curve", Stroke: "#2f6fdb", DarkStroke: "#6ea3ff", Width: 2.5},
	{Name: "under", Fill: "#2f6fdb", DarkFill: "#6ea3ff", Opacity: 0.10},
	{Name: "edge", Stroke: "#2f6fdb", DarkStroke: "#6ea3ff", Width: 1.5, Dash: "4 4"},
	{Name: "auto", Fill: "#2f6fdb", DarkFill: "#6ea3ff", Size: 13, Bold: true},
	{Name: "mark", Fill: "#ffffff", Stroke: "#e4572e", DarkFill: "#14171c", DarkStroke: "#ff8a5c", Width: 2},
	{Name: "policy", Fill: "#e4572e", DarkFill: "#ff8a5c", Size: 13, Bold: true},
}

// Margins of the picture; the right one holds the axis of shares.
const (
	curveWidth, curveHeight = 960, 540
	curveLeft, curveRight   = 84, 84
	curveTop, curveBottom   = 92, 64
)

// unitOf gives the largest of units, each a step times the one before, in which
// a number is at least one: axes then have ticks of one to four digits.
func unitOf(n, step float64, names ...string) (unit float64, name string) {
	unit = 1
	for i, name := range names {
		if i == len(names)-1 || n < unit*step {
			return unit, name
		}
		unit *= step
	}
	return unit, name
}

// curvePicture draws budget against recomputation, with the fixed policies
// and, where the spec's own is auto, its plan.
//
// Both axes begin at zero, so that lengths are proportions; the right one
// counts the same in hundredths of the work that a micro-batch is without
// recomputation. A fixed policy lies on the curve or above it: the distance is
// what auto gains on it.
func curvePicture(c *compile.Curve) *plot.Picture {
	mostBytes, mostFLOPs := float64(c.Maximum), float64(c.Points[0].FLOPs)
	for _, p := range c.Policies {
		mostBytes, mostFLOPs = max(mostBytes, float64(p.Arena)), max(mostFLOPs, float64(p.FLOPs))
	}
	// Room for the last marks, and for a curve that is nought everywhere.
	mostBytes, mostFLOPs = 1.04*mostBytes, max(1.08*mostFLOPs, 1)
	const innerW, innerH float64 = curveWidth - curveLeft - curveRight, curveHeight - curveTop - curveBottom
	// Places of bytes and FLOPs on the page.
	x := func(bytes float64) float64 { return curveLeft + bytes/mostBytes*innerW }
	y := func(flops float64) float64 { return curveTop + (1-flops/mostFLOPs)*innerH }
	at := func(bytes, flops int64) plot.Point {
		return plot.Point{X: x(float64(bytes)), Y: y(float64(flops))}
	}

	// Titles, then the axes: left, right, below.
	p := plot.New(curveWidth, curveHeight, "memory of activations against recomputation: "+c.Name, curveStyles)
	p.Text("title", plot.Point{X: curveLeft, Y: 36}, "start", c.Name+": memory of activations against recomputation")
	p.Text("label", plot.Point{X: curveLeft, Y: 60}, "start", fmt.Sprintf(
		"%d layers. Blue: the least that must be computed again in a micro-batch, for every budget (policy auto). Red: fixed policies.", c.Layers))
	unit, name := unitOf(mostFLOPs/1.08, 1000, "FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP")
	for _, v := range plot.Ticks(0, mostFLOPs/unit, 7) {
		h := y(v * unit)
		p.Line("grid", plot.Point{X: curveLeft, Y: h}, plot.Point{X: curveWidth - curveRight, Y: h})
		p.Text("label", plot.Point{X: curveLeft - 10, Y: h + 4.5}, "end", fmt.Sprintf("%.4g", v))
	}
	p.Turned("label", plot.Point{X: 22, Y: curveTop + innerH/2}, "recomputed a micro-batch, "+name)
	// The right axis: hundredths of the work without recomputation. Its ticks
	// are round in that unit and so lie between the lines of the left one.
	share := 100 / float64(c.StepFLOPs)
	for _, v := range plot.Ticks(0, mostFLOPs*share, 7) {
		h := y(v / share)
		p.Line("axis", plot.Point{X: curveWidth - curveRight, Y: h}, plot.Point{X: curveWidth - curveRight + 5, Y: h})
		p.Text("label", plot.Point{X: curveWidth - curveRight + 10, Y: h + 4.5}, "start", fmt.Sprintf("%.4g %%", v))
	}
	p.Turned("label", plot.Point{X: curveWidth - 14, Y: curveTop + innerH/2}, "of the work without recomputation")
	unit, name = unitOf(mostBytes, 1024, "bytes", "KiB", "MiB", "GiB", "TiB")
	const bottom = curveHeight - curveBottom
	for _, v := range plot.Ticks(0, mostBytes/unit, 10) {
		p.Line("axis", plot.Point{X: x(v * unit), Y: bottom}, plot.Point{X: x(v * unit), Y: bottom + 5})
		p.Text("label", plot.Point{X: x(v * unit), Y: bottom + 22}, "middle", fmt.Sprintf("%.4g", v))
	}
	p.Text("label", plot.Point{X: curveLeft + innerW/2, Y: curveHeight - 14}, "middle", "budget: peak of the arena of activations, "+name+apart(c))

	// A staircase: each corner's cost holds up to the next corner's budget.
	steps := []plot.Point{at(c.Points[0].Budget, c.Points[0].FLOPs)}
	for _, q := range c.Points[1:] {
		steps = append(steps, plot.Point{X: x(float64(q.Budget)), Y: steps[len(steps)-1].Y}, at(q.Budget, q.FLOPs))
	}
	steps = append(steps, plot.Point{X: curveWidth - curveRight, Y: steps[len(steps)-1].Y})
	p.Area("under", append(append([]plot.Point{}, steps...), at(0, 0), plot.Point{X: steps[0].X, Y: bottom}))
	p.Line("axis", plot.Point{X: curveLeft, Y: bottom}, plot.Point{X: curveWidth - curveRight, Y: bottom})
	// Left of the first corner there is no plan.
	low := steps[0]
	p.Line("edge", plot.Point{X: low.X, Y: curveTop}, plot.Point{X: low.X, Y: bottom})
	p.Line("curve", steps...)
	p.Text("auto", plot.Point{X: low.X + 8, Y: bottom - 10}, "start", "minimum "+size(c.Minimum))
	// Marks come last and lie above the curve.
	var names labels
	for _, q := range c.Policies {
		to := at(q.Arena, q.FLOPs)
		p.Circle("mark", to, 4.5)
		names.write(p, "policy", to, q.Name+" "+size(q.Arena))
	}
	// The spec's own plan, unless its budget is too small for one.
	if c.Chosen != nil {
		to := at(c.Chosen.Peak, c.Chosen.FLOPs)
		p.Circle("auto", to, 5)
		names.write(p, "auto", to, "this spec "+size(c.Chosen.Peak))
	}
	return p
}

// labels are the places of texts beside marks: left end and line.
type labels []plot.Point

// labelWidth is more than what a letter of a label takes.
const labelWidth = 8.2

// write puts a text above a mark: to its right, where the curve is lower, or
// to its left at the picture's edge, and higher where another text is.
func (l *labels) write(p *plot.Picture, style string, mark plot.Point, text string) {
	width := labelWidth * float64(len(text))
	at := plot.Point{X: mark.X + 10, Y: mark.Y - 10}
	// At the right edge to the left of the mark.
	if at.X+width > curveWidth-curveRight {
		at.X = mark.X - width
	}
	// Texts are at most 24 letters long and 16 pixels high.
	free := func() bool {
		for _, o := range *l {
			if at.X < o.X+labelWidth*24 && o.X < at.X+width && at.Y < o.Y+16 && o.Y < at.Y+16 {
				return false
			}
		}
		return true
	}
	// Policies that lie close to each other have their names in a stair.
	for !free() && at.Y > curveTop {
		at.Y -= 17
	}
	*l = append(*l, at)
	p.Text(style, at, "start", text)
}
