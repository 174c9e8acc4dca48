package fuzz

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/llamac/llamac/ir/interp"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/runtime/model"
)

// An update is compared with that of the interpreter from the gradients that
// exec itself has: they are compared before, and what the reference's gradients
// may be off by, a step divided by small moments would make much of.

// compareUpdate makes an update, from moments as a run has them on its way, and
// compares the norm, the moments and the weights.
func (r *reference) compareUpdate(p *plan.Plan, t model.Trainer) error {
	rng := rand.New(rand.NewPCG(r.c.Seed, 5))
	grads, old, first, second := map[string][]*interp.Tensor{}, cloneAll(r.weights), map[string][]*interp.Tensor{}, map[string][]*interp.Tensor{}
	moment1, moment2 := t.Moments()
	squares := 0.0
	// Moments as large as the gradients, rounded as exec holds them.
	for _, w := range p.Weights {
		for l, x := range r.weights[w.Name] {
			g, m, v := x.Clone(), x.Clone(), x.Clone()
			largest := 0.0
			for i := range g.F {
				g.F[i] = float64(t.Grads()[w.At(l)+int64(i)])
				squares += g.F[i] * g.F[i]
				largest = math.Max(largest, math.Abs(g.F[i]))
			}
			for i := range g.F {
				a, b := float32(largest*rng.NormFloat64()), float32(largest*rng.Float64())
				moment1[w.At(l)+int64(i)], moment2[w.At(l)+int64(i)] = a, b*b
				m.F[i], v.F[i] = float64(a), float64(b*b)
			}
			grads[w.Name], first[w.Name], second[w.Name] = append(grads[w.Name], g), append(first[w.Name], m), append(second[w.Name], v)
		}
	}
	h := updateScalars(r.c.Seed, math.Sqrt(squares))
	mach := r.machine(cloneAll(old))
	mach.Hyper, mach.Grads, mach.Moments = h.Hyper, grads, interp.Moments{M: cloneAll(first), V: second}
	out, err := mach.Run(r.module, "update")
	if err != nil {
		return err
	}
	norm := t.Update(model.Hyper{Step: h.Step, LR: h.LR, Beta1: h.Beta1, Beta2: h.Beta2, Eps: h.Eps,
		WeightDecay: h.WeightDecay, Clip: h.Clip, GradScale: h.GradScale})
	// The sum of squares is in float64 on both sides.
	if want := out[0].F[0]; !(math.Abs(norm-want) <= 1e-12*want) {
		return fmt.Errorf("norm %v, want %v", norm, want)
	}
	// Each element has a tolerance of its own: nothing large hides what is small.
	for _, w := range p.Weights {
		for l, after := range mach.Weights[w.Name] {
			for i, want := range after.F {
				at := w.At(l) + int64(i)
				m, v := mach.Moments.M[w.Name][l].F[i], mach.Moments.V[w.Name][l].F[i]
				off := h.off(old[w.Name][l].F[i], first[w.Name][l].F[i], m, v)
				for _, x := range []struct {
					what      string
					got       float32
					want, off float64
				}{{"weight", t.Params()[at], want, off[0]}, {"first moment", moment1[at], m, off[1]}, {"second moment", moment2[at], v, off[2]}} {
					if !(math.Abs(float64(x.got)-x.want) <= x.off) {
						return fmt.Errorf("%s of $%s, layer %d, element %d is %v after the update, want %v: at most %.3g is allowed", x.what, w.Name, l, i, x.got, x.want, x.off)
					}
				}
			}
		}
	}
	return nil
}

// scalars are those of an update.
type scalars struct{ interp.Hyper }

// updateScalars draws the scalars for gradients whose sum has a norm. Eps is of
// the size of the roots to which it is added, and every other update clips:
// what is forgotten shows.
func updateScalars(seed uint64, norm float64) scalars {
	h := interp.Hyper{Step: 1 + int(seed%5), LR: 0.1, Beta1: 0.9, Beta2: 0.95, Eps: norm / 16, WeightDecay: 0.1, GradScale: 0.5}
	switch mixed(seed, ofUpdate) % 4 {
	case 0, 1:
		h.Clip = h.GradScale * norm / 3
	case 2:
		h.Clip = h.GradScale * norm * 3
	}
	return scalars{h}
}

// off is how far float32 may be from an updated weight and its moments m and v,
// the weight having been p and the first moment m0. With u = 2^-24, the error of
// one rounding, relative to its result:
//
//	x = scale·g            2u      the scalar is rounded too
//	m = beta1·m0 + rest1·x 5u      of what is added, without signs
//	v = beta2·v0 + rest2·x²  8u    4u of them from x²
//	step = rate·m/(√v·root + eps)  5u + (4u + 3u + 2u) + 3u = 17u of the step that m without signs makes
//	p = p·decay - step     3u of p and 1u of the step
//
// What is below float32's smallest numbers is nothing beside eps.
func (h scalars) off(p, m0, m, v float64) [3]float64 {
	const u, tiny = 1.0 / (1 << 24), 1e-37
	terms := math.Abs(m) + 2*h.Beta1*math.Abs(m0) // at least |beta1·m0| + |rest1·x|
	correct1 := 1 - math.Pow(h.Beta1, float64(h.Step))
	correct2 := 1 - math.Pow(h.Beta2, float64(h.Step))
	step := h.LR / correct1 * terms / (math.Sqrt(v/correct2) + h.Eps)
	return [3]float64{u * (20*step + 4*math.Abs(p)), 6*u*terms + tiny, 9*u*v + tiny}
}
