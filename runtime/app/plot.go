package app

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The loss curve: training and validation loss over steps, the loss on a
// logarithmic axis, so that the late, small gains stay visible beside the
// first steep fall. It is one SVG without scripts or fonts of its own, light
// or dark as the viewer prefers.
const (
	plotWidth, plotHeight         = 960, 540
	plotLeft, plotRight           = 72, 132 // margins; the right one holds the curves' names
	plotTop, plotBottom           = 84, 60
	plotBuckets                   = 420 // points of a curve: about one every two pixels
	plotInnerW            float64 = plotWidth - plotLeft - plotRight
	plotInnerH            float64 = plotHeight - plotTop - plotBottom
)

// Plain classes and no CSS variables: old viewers show it too.
const plotStyle = `
  .page { fill:#ffffff } .dot { fill:#ffffff; stroke:#e4572e; stroke-width:2 }
  text { font-family:system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif; font-size:13px; fill:#69707d }
  .title { font-size:20px; font-weight:600; fill:#1f2430 }
  .grid { stroke:#e6e8ec; stroke-width:1 } .axis { stroke:#69707d; stroke-width:1 }
  .band { fill:#2f6fdb; opacity:.14 } .raw { fill:none; stroke:#2f6fdb; stroke-width:1; opacity:.35 }
  .train { fill:none; stroke:#2f6fdb; stroke-width:2.5; stroke-linejoin:round; stroke-linecap:round }
  .val { fill:none; stroke:#e4572e; stroke-width:2; stroke-linejoin:round }
  .ntrain { fill:#2f6fdb; font-weight:600 } .nval { fill:#e4572e; font-weight:600 }
  @media (prefers-color-scheme: dark) {
    .page { fill:#14171c } .dot { fill:#14171c; stroke:#ff8a5c } text { fill:#98a0ad } .title { fill:#e8eaee }
    .grid { stroke:#2a2f38 } .axis { stroke:#98a0ad } .band { fill:#6ea3ff } .raw, .train { stroke:#6ea3ff } .val { stroke:#ff8a5c }
    .ntrain { fill:#6ea3ff } .nval { fill:#ff8a5c }
  }
`

// plotPoint is a bucket of steps: where it lies, and the mean, least and
// largest loss in it.
type plotPoint struct{ x, mean, least, most float64 }

// buckets merges records so that at most n points remain.
func buckets(h []record, n int) []plotPoint {
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
func smooth(p []plotPoint) []float64 {
	reach := 2 + len(p)/30
	out := make([]float64, len(p))
	for i := range p {
		var w0, w1, w2, m0, m1 float64 // sums of weight, weight·d, weight·d², and of the same times the mean
		for j := max(0, i-reach+1); j < min(len(p), i+reach); j++ {
			d := float64(j - i)
			w := 1 - math.Abs(d)/float64(reach)
			w0, w1, w2 = w0+w, w1+w*d, w2+w*d*d
			m0, m1 = m0+w*p[j].mean, m1+w*d*p[j].mean
		}
		out[i] = m0 / w0
		if det := w0*w2 - w1*w1; det > 1e-9 {
			out[i] = (w2*m0 - w1*m1) / det
		}
	}
	return out
}

// scale maps data to pixels.
type scale struct{ x0, x1, y0, y1 float64 } // y0, y1: logarithms

func (s scale) x(v float64) float64 { return plotLeft + (v-s.x0)/(s.x1-s.x0)*plotInnerW }
func (s scale) y(v float64) float64 {
	return plotTop + (s.y1-math.Log(v))/(s.y1-s.y0)*plotInnerH
}

// lossCurve draws a history of which at least one record exists.
func lossCurve(title, subtitle string, steps int, h []record) []byte {
	train := buckets(h, plotBuckets)
	soft := smooth(train)
	var val []record
	least, most := math.Inf(1), math.Inf(-1)
	for i, p := range train {
		least, most = min(least, p.least, soft[i]), max(most, p.most)
	}
	for _, r := range h {
		if r.ValLoss != nil {
			val = append(val, r)
			least, most = min(least, *r.ValLoss), max(most, *r.ValLoss)
		}
	}
	least = max(least, 1e-6) // a logarithm must exist
	most = max(most, 1.02*least)
	margin := 0.04 * math.Log(most/least)
	s := scale{0, float64(max(steps, h[len(h)-1].Step, 1)), math.Log(least) - margin, math.Log(most) + margin}

	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`,
		plotWidth, plotHeight, plotWidth, plotHeight, html.EscapeString("loss curve of "+title))
	p("<style>%s</style>", plotStyle)
	p(`<rect width="100%%" height="100%%" class="page"/>`)
	p(`<text class="title" x="%d" y="36">%s</text>`, plotLeft, html.EscapeString(title))
	p(`<text x="%d" y="58">%s</text>`, plotLeft, html.EscapeString(subtitle))
	axes(p, s, math.Exp(s.y0), math.Exp(s.y1))
	if len(h) > len(train) {
		var band []string
		for _, q := range train {
			band = append(band, at(s.x(q.x), s.y(max(q.most, 1e-6))))
		}
		for i := len(train) - 1; i >= 0; i-- {
			band = append(band, at(s.x(train[i].x), s.y(max(train[i].least, 1e-6))))
		}
		p(`<polygon class="band" points="%s"/>`, strings.Join(band, " "))
	}
	var raw, line []string
	for i, q := range train {
		raw = append(raw, at(s.x(q.x), s.y(max(q.mean, 1e-6))))
		line = append(line, at(s.x(q.x), s.y(max(soft[i], 1e-6))))
	}
	p(`<polyline class="raw" points="%s"/>`, strings.Join(raw, " "))
	p(`<polyline class="train" points="%s"/>`, strings.Join(line, " "))
	endX, endY := s.x(train[len(train)-1].x), s.y(max(soft[len(soft)-1], 1e-6))
	names(p, s, endX, endY, soft[len(soft)-1], val)
	p("</svg>")
	return []byte(b.String())
}

// at prints a point to a tenth of a pixel.
func at(x, y float64) string { return fmt.Sprintf("%.1f,%.1f", x, y) }

// names draws the validation curve and writes each curve's name and last value
// at its end, apart from each other.
func names(p func(string, ...any), s scale, x, trainY, trainLoss float64, val []record) {
	if len(val) == 0 {
		name(p, "ntrain", x, trainY, "training", trainLoss)
		return
	}
	var line []string
	for _, r := range val {
		line = append(line, at(s.x(float64(r.Step)), s.y(*r.ValLoss)))
	}
	p(`<polyline class="val" points="%s"/>`, strings.Join(line, " "))
	every := (len(val) + 39) / 40 // dots that touch are no dots
	for i := len(val) - 1; i >= 0; i -= every {
		p(`<circle class="dot" cx="%.1f" cy="%.1f" r="3.5"/>`, s.x(float64(val[i].Step)), s.y(*val[i].ValLoss))
	}
	last := val[len(val)-1]
	valY := s.y(*last.ValLoss)
	const apart = 36 // two lines of text
	if d := math.Abs(valY - trainY); d < apart {
		shift := (apart - d) / 2
		if valY <= trainY {
			shift = -shift
		}
		valY, trainY = valY+shift, trainY-shift
	}
	name(p, "ntrain", x, trainY, "training", trainLoss)
	name(p, "nval", max(x, s.x(float64(last.Step))), valY, "validation", *last.ValLoss)
}

// name writes a curve's name and last value beside its end, inside the picture.
func name(p func(string, ...any), class string, x, y float64, what string, loss float64) {
	y = min(max(y, plotTop+10), plotHeight-plotBottom-20)
	p(`<text class="%s" x="%.1f" y="%.1f">%s</text>`, class, x+10, y-2, what)
	p(`<text class="%s" x="%.1f" y="%.1f">%.4f</text>`, class, x+10, y+14, loss)
}

// axes draws the grid, the ticks and what they mean.
func axes(p func(string, ...any), s scale, least, most float64) {
	for _, v := range lossTicks(least, most) {
		y := s.y(v)
		p(`<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, plotLeft, plotWidth-plotRight, y, y)
		p(`<text x="%d" y="%.1f" text-anchor="end">%s</text>`, plotLeft-10, y+4.5, fmt.Sprintf("%.4g", v))
	}
	bottom := plotHeight - plotBottom
	for _, v := range linearTicks(s.x0, s.x1, 8) {
		if v != math.Floor(v) {
			continue // steps are whole
		}
		p(`<line class="axis" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, s.x(v), s.x(v), bottom, bottom+5)
		p(`<text x="%.1f" y="%d" text-anchor="middle">%s</text>`, s.x(v), bottom+22, thousands(int64(v)))
	}
	p(`<line class="axis" x1="%d" x2="%d" y1="%d" y2="%d"/>`, plotLeft, plotWidth-plotRight, bottom, bottom)
	p(`<text x="%.1f" y="%d" text-anchor="middle">step</text>`, plotLeft+plotInnerW/2, plotHeight-14)
	p(`<text transform="translate(20 %.1f) rotate(-90)" text-anchor="middle">loss, nats per token (logarithmic)</text>`, plotTop+plotInnerH/2)
}

// lossTicks are round values for a logarithmic axis: 1, 2, 5, or more of them
// where the range is small, evenly spaced ones where it is very small.
func lossTicks(least, most float64) []float64 {
	if most/least < 2.5 {
		return linearTicks(least, most, 6)
	}
	for _, digits := range [][]float64{{1, 1.5, 2, 2.5, 3, 4, 5, 6, 8}, {1, 2, 3, 5, 7}, {1, 2, 5}, {1}} {
		var ticks []float64
		for e := math.Floor(math.Log10(least)); e <= math.Log10(most); e++ {
			for _, d := range digits {
				if v := d * math.Pow(10, e); v >= least && v <= most {
					ticks = append(ticks, v)
				}
			}
		}
		if len(ticks) <= 9 || len(digits) == 1 {
			return ticks
		}
	}
	return nil
}

// linearTicks are at most about n multiples of 1, 2 or 5 times a power of ten.
func linearTicks(from, to float64, n int) []float64 {
	step := math.Pow(10, math.Floor(math.Log10((to-from)/float64(n))))
	for _, m := range []float64{1, 2, 5, 10} {
		if (to-from)/(m*step) <= float64(n) {
			step *= m
			break
		}
	}
	var ticks []float64
	for i := math.Ceil(from / step); i*step <= to*(1+1e-12); i++ {
		ticks = append(ticks, i*step)
	}
	return ticks
}
