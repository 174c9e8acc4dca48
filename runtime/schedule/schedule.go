// Package schedule computes the learning rate of each optimiser step: a linear
// warm-up, then a cosine down to a fraction of the peak, as in section 2.3 of
// the LLaMA paper (Touvron et al. 2023).
//
// Steps count from 1, as Adam's bias correction does. LR(1) is therefore the
// rate of the first update, one Warmup-th of the peak and not zero; LR(Warmup)
// is the peak, LR(Decay) the minimum. LR(0) is 0 and belongs to no update: the
// formulas that count from 0 give the same numbers at the same argument.
package schedule

import "math"

// Cosine is a schedule of learning rates.
type Cosine struct {
	Peak     float64 // largest rate, reached at step Warmup
	MinRatio float64 // last rate as a fraction of Peak, 0.1 in the paper
	Warmup   int     // steps of the linear rise; 0 starts at the peak
	Decay    int     // step at which the cosine ends; later steps keep the minimum
}

// LR returns the rate of step, which counts from 1.
func (c Cosine) LR(step int) float64 {
	min := c.Peak * c.MinRatio
	switch {
	case step < c.Warmup:
		return c.Peak * float64(step) / float64(c.Warmup)
	case step <= c.Warmup:
		return c.Peak // also when Decay ≤ Warmup leaves no room for the cosine
	case step >= c.Decay:
		return min
	}
	// Both integers are exact in a float64, so the rate depends on nothing
	// but the four numbers and the step.
	done := float64(step-c.Warmup) / float64(c.Decay-c.Warmup)
	return min + 0.5*(1+math.Cos(math.Pi*done))*(c.Peak-min)
}
