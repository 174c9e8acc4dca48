package fuzz

import (
	"fmt"
	"math"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/interp"
)

// allowed is how far float32 may be from the reference: some multiple of how
// far the nudges move it, and some units in the last place of the largest
// element for what they do not reach. In 8,000 models no gradient was off by
// more than a fifth of this; of hundreds of thousands some are (see Check).
func allowed(moves, scale float64) float64 { return 32*moves + 1e-5*scale + 1e-9 }

// allowedGrad is the same for the gradient of a weight. The nudges move what is
// added up, so that a gradient which is small because its terms cancel is
// allowed the noise of the terms. One that vanishes, such as that of a query
// which sees one key, may do so by terms that the graph does not have and a
// kernel has: it gets a share of the largest gradient.
func (r *reference) allowedGrad(name string) float64 {
	most := allowed(r.moves[name], r.scale[name])
	if r.vanishes(name) {
		most += 1e-5 * r.largest
	}
	return most
}

// vanishes reports that a weight has a gradient, which is 0 but for rounding.
func (r *reference) vanishes(name string) bool {
	scale, ok := r.scale[name]
	return ok && scale < 1e-9*r.largest
}

// count counts the weights by how much of their gradients a comparison sees.
func (r *reference) count(counts map[string]int) {
	for name, scale := range r.scale {
		counts["weights"]++
		switch most := r.allowedGrad(name); {
		case r.vanishes(name):
			counts["weights not compared: the gradient vanishes"]++
		case most > scale/2:
			counts["weights not compared: noise"]++
		case most > scale/100:
			counts["weights compared to more than 1 %"]++
		}
	}
}

// allowed64 is the same for another order of operations in float64.
func allowed64(moves, scale float64) float64 { return 1e-6*moves + 1e-11*scale + 1e-13 }

// compareStep holds one run of a module in the interpreter to the reference.
func (r *reference) compareStep(m *ir.Module) error {
	if !differentiated(m) {
		return r.compareModule(m)
	}
	wide, err := r.widened(m)
	if err != nil {
		return err
	}
	return wide.compareModule(m)
}

// differentiated tells modules behind the pass differentiate from those before
// it by the names of their functions.
func differentiated(m *ir.Module) bool { return m.Func("loss") == nil }

func (r *reference) compareModule(m *ir.Module) error {
	// Until then the loss is all that there is to compare.
	if !differentiated(m) {
		out, err := r.machine(r.weights).Run(m, "loss", r.args()...)
		if err != nil {
			return err
		}
		return r.compareLoss64(out[0].F[0])
	}
	mach := r.machine(r.weights)
	loss, err := r.step(mach, m, true)
	if err != nil {
		return err
	}
	if err := r.compareLoss64(loss); err != nil {
		return err
	}
	for _, name := range sortedNames(r.grads) {
		for l, want := range r.grads[name] {
			if len(mach.Grads[name]) <= l {
				return fmt.Errorf("no gradient of $%s", name)
			}
			diff := interp.MaxDiff(mach.Grads[name][l], want)
			if most := allowed64(r.moves[name], r.scale[name]); !(diff <= most) {
				return reordered{fmt.Errorf("gradient of $%s, layer %d, differs by %.3g of %.3g, at most %.3g is allowed", name, l, diff, r.scale[name], most), diff / most}
			}
		}
	}
	for _, name := range sortedNames(mach.Grads) {
		for _, t := range mach.Grads[name] {
			// A weight without a gradient may get one of zeros, not another.
			if r.grads[name] == nil && t.MaxAbs() != 0 { // of an unused member of a pack
				return fmt.Errorf("a gradient of $%s where there was none", name)
			}
		}
	}
	out, err := r.machine(r.weights).Run(m, "eval", r.args()...)
	if err != nil {
		return err
	}
	return r.compareLoss64(out[0].F[0])
}

// compareLoss holds exec's loss to the reference.
func (r *reference) compareLoss(loss float64) error {
	most := allowed(r.lossMoves, math.Max(1, math.Abs(r.loss)))
	if d := math.Abs(loss - r.loss); !(d <= most) {
		return differs(d, most, "loss %v, want %v: differs by %.3g, at most %.3g is allowed", loss, r.loss, d, most)
	}
	return nil
}

// compareLoss64 holds the interpreter's loss to the reference: both are in
// float64, and no difference is forgiven.
func (r *reference) compareLoss64(loss float64) error {
	most := allowed64(r.lossMoves, math.Max(1, math.Abs(r.loss)))
	if d := math.Abs(loss - r.loss); !(d <= most) {
		return fmt.Errorf("loss %v, want %v: differs by %.3g, at most %.3g is allowed", loss, r.loss, d, most)
	}
	return nil
}
