package app

import (
	"fmt"
	"math"

	"github.com/llamac/llamac/runtime/plot"
)

// The loss curve: training and validation loss over steps, the loss on a
// logarithmic axis, so that the late, small gains stay visible beside the
// first steep fall.
const (
	plotWidth, plotHeight         = 960, 540
	plotLeft, plotRight           = 72, 150 // margins; the right one holds the curves' names
	plotTop, plotBottom           = 84, 60
	plotBuckets                   = 420 // points of a curve: about one every two pixels
	plotInnerW            float64 = plotWidth - plotLeft - plotRight
	plotInnerH            float64 = plotHeight - plotTop - plotBottom
)

// Each style has its colours for a light and for a dark page; the file switches
// by itself.
var plotStyles = []plot.Style{
	{Name: "dot", Fill: "#ffffff", Stroke: "#e4572e", DarkFill: "#14171c", DarkStroke: "#ff8a5c", Width: 2},
	{Name: "band", Fill: "#2f6fdb", DarkFill: "#6ea3ff", Opacity: 0.14},
	{Name: "raw", Stroke: "#2f6fdb", DarkStroke: "#6ea3ff", Width: 1, Opacity: 0.35},
	{Name: "train", Stroke: "#2f6fdb", DarkStroke: "#6ea3ff", Width: 2.5},
	{Name: "val", Stroke: "#e4572e", DarkStroke: "#ff8a5c", Width: 2},
	{Name: "ntrain", Fill: "#2f6fdb", DarkFill: "#6ea3ff", Size: 13, Bold: true},
	{Name: "nval", Fill: "#e4572e", DarkFill: "#ff8a5c", Size: 13, Bold: true},
}

// plotPoint is a bucket of steps: where it lies, and the mean, least and
// largest loss in it.
type plotPoint struct{ x, mean, least, most float64 }

// buckets merges records so that at most n points remain.
//
// A curve of a million steps has no more points than the picture has pixels,
// and the band of least and largest shows what the mean hides.
func buckets(h []record, n int) []plotPoint {
	// All buckets hold the same number of steps, but for the last.
	per := (len(h) + n - 1) / n
	var out []plotPoint
	for i := 0; i < len(h); i += per {
		part := h[i:min(i+per, len(h))]
		p := plotPoint{least: math.Inf(1), most: math.Inf(-1)}
		for _, r := range part {
			p.x += float64(r.Step) / float64(len(part))
			p.mean += r.Loss / float64(len(part))
			p.least, p.most = min(p.least, r.Loss), max(p.most, r.Loss)
		}
		out = append(out, p)
	}
	return out
}

// smooth fits a line to the neighbourhood of each point, weighing neighbours by
// nearness, and takes its value there (local regression, Cleveland 1979): a
// running mean would lag behind where the loss falls fast.
//
// The line ends where a point lacks neighbours on its right: fitted to the left ones
// alone it would follow the last of them, and bend anew with every step.
func smooth(p []plotPoint) []float64 {
	// Neighbours on either side: one in a short curve, about a thirtieth of a
	// long one.
	reach := 2 + len(p)/30
	out := make([]float64, max(0, len(p)-(reach-1)))
	for i := range out {
		var w0, w1, w2, m0, m1 float64 // sums of weight, weight·d, weight·d², and of the same times the mean
		// Weights fall linearly with distance, where Cleveland's fall with its
		// cube.
		for j := max(0, i-reach+1); j < min(len(p), i+reach); j++ {
			d := float64(j - i)
			w := 1 - math.Abs(d)/float64(reach)
			w0, w1, w2 = w0+w, w1+w*d, w2+w*d*d
			m0, m1 = m0+w*p[j].mean, m1+w*d*p[j].mean
		}
		out[i] = m0 / w0
		// Too few neighbours for a line: their weighted mean.
		if det := w0*w2 - w1*w1; det > 1e-9 {
			out[i] = (w2*m0 - w1*m1) / det
		}
	}
	return out
}

// scale maps data to pixels.
type scale struct{ x0, x1, y0, y1 float64 } // y0, y1: logarithms

// Steps go to the right, losses upwards, and pixels downwards.
func (s scale) x(v float64) float64 { return plotLeft + (v-s.x0)/(s.x1-s.x0)*plotInnerW }
func (s scale) y(v float64) float64 {
	return plotTop + (s.y1-math.Log(v))/(s.y1-s.y0)*plotInnerH
}

// at is the place of a loss, of which a logarithm must exist.
func (s scale) at(x, loss float64) plot.Point { return plot.Point{X: s.x(x), Y: s.y(max(loss, 1e-6))} }

// lossCurve draws a history of which at least one record exists.
func lossCurve(title, subtitle string, steps int, h []record) []byte {
	// The limits are those of everything that is drawn.
	train := buckets(h, plotBuckets)
	soft := smooth(train)
	var val []record
	least, most := math.Inf(1), math.Inf(-1)
	for i, p := range train {
		least, most = min(least, p.least), max(most, p.most)
		if i < len(soft) {
			least = min(least, soft[i])
		}
	}
	for _, r := range h {
		if r.ValLoss != nil {
			val = append(val, r)
			least, most = min(least, *r.ValLoss), max(most, *r.ValLoss)
		}
	}
	least = max(least, 1e-6) // a logarithm must exist
	// A flat curve needs an axis of some height all the same.
	most = max(most, 1.02*least)
	margin := 0.04 * math.Log(most/least)
	// From step 0, and to the last step of the whole run: what is still to come
	// stays empty.
	s := scale{0, float64(max(steps, h[len(h)-1].Step, 1)), math.Log(least) - margin, math.Log(most) + margin}

	p := plot.New(plotWidth, plotHeight, "loss curve of "+title, plotStyles)
	p.Text("title", plot.Point{X: plotLeft, Y: 36}, "start", title)
	p.Text("label", plot.Point{X: plotLeft, Y: 58}, "start", subtitle)
	axes(p, s, math.Exp(s.y0), math.Exp(s.y1))
	// With one record a bucket the band would be a line.
	if len(h) > len(train) {
		var band []plot.Point
		for _, q := range train {
			band = append(band, s.at(q.x, q.most))
		}
		// There along the largest losses, back along the least.
		for i := len(train) - 1; i >= 0; i-- {
			band = append(band, s.at(train[i].x, train[i].least))
		}
		p.Area("band", band)
	}
	var raw, line []plot.Point
	for i, q := range train {
		raw = append(raw, s.at(q.x, q.mean))
		if i < len(soft) {
			line = append(line, s.at(q.x, soft[i]))
		}
	}
	p.Line("raw", raw...)
	if len(line) > 0 {
		p.Line("train", line...)
	}
	names(p, s, raw[len(raw)-1], h[len(h)-1].Loss, val)
	return p.SVG()
}

// names draws the validation curve and writes each curve's name and last value
// at its end, apart from each other. They are the numbers that the log ends with:
// the loss of the last step, not smoothed, and the last evaluation.
func names(p *plot.Picture, s scale, end plot.Point, trainLoss float64, val []record) {
	if len(val) == 0 {
		name(p, "ntrain", end, "training", trainLoss, " last step")
		return
	}
	var line []plot.Point
	for _, r := range val {
		line = append(line, plot.Point{X: s.x(float64(r.Step)), Y: s.y(*r.ValLoss)})
	}
	p.Line("val", line...)
	every := (len(val) + 39) / 40 // dots that touch are no dots
	for i := len(val) - 1; i >= 0; i -= every {
		p.Circle("dot", line[i], 3.5)
	}
	last := line[len(line)-1]
	// Both names are moved by half of what is missing, away from each other.
	const apart = 36 // two lines of text
	if d := math.Abs(last.Y - end.Y); d < apart {
		shift := (apart - d) / 2
		if last.Y <= end.Y {
			shift = -shift
		}
		last.Y, end.Y = last.Y+shift, end.Y-shift
	}
	name(p, "ntrain", end, "training", trainLoss, " last step")
	// Names stand in one column, behind the later of the two ends.
	name(p, "nval", plot.Point{X: max(end.X, last.X), Y: last.Y}, "validation", *val[len(val)-1].ValLoss, "")
}

// name writes a curve's name and last value beside its end, inside the picture.
func name(p *plot.Picture, style string, end plot.Point, what string, loss float64, of string) {
	// At the edges of the picture a name stays inside, wherever its curve ends.
	y := min(max(end.Y, plotTop+10), plotHeight-plotBottom-20)
	p.Text(style, plot.Point{X: end.X + 10, Y: y - 2}, "start", what)
	p.Text(style, plot.Point{X: end.X + 10, Y: y + 14}, "start", fmt.Sprintf("%.4f%s", loss, of))
}

// axes draws the grid, the ticks and what they mean.
func axes(p *plot.Picture, s scale, least, most float64) {
	for _, v := range plot.LogTicks(least, most) {
		y := s.y(v)
		p.Line("grid", plot.Point{X: plotLeft, Y: y}, plot.Point{X: plotWidth - plotRight, Y: y})
		p.Text("label", plot.Point{X: plotLeft - 10, Y: y + 4.5}, "end", fmt.Sprintf("%.4g", v))
	}
	// Steps that are no whole numbers come up in runs of a few steps.
	const bottom = plotHeight - plotBottom
	for _, v := range plot.Ticks(s.x0, s.x1, 8) {
		if v != math.Floor(v) {
			continue // steps are whole
		}
		p.Line("axis", plot.Point{X: s.x(v), Y: bottom}, plot.Point{X: s.x(v), Y: bottom + 5})
		p.Text("label", plot.Point{X: s.x(v), Y: bottom + 22}, "middle", thousands(int64(v)))
	}
	p.Line("axis", plot.Point{X: plotLeft, Y: bottom}, plot.Point{X: plotWidth - plotRight, Y: bottom})
	p.Text("label", plot.Point{X: plotLeft + plotInnerW/2, Y: plotHeight - 14}, "middle", "step")
	p.Turned("label", plot.Point{X: 20, Y: plotTop + plotInnerH/2}, "loss, nats per token (logarithmic)")
}
