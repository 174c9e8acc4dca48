package ir_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/interp"
)

// withLoss copies a function and makes its only result
//
//	loss = Σ_i Σ results[i] · r[i]
//
// over its float results, with r random numbers that become parameters.
func withLoss(f *ir.Func) *ir.Func {
	k := ir.CloneFunc(f, f.Name)
	b := ir.NewBuilder(k)
	var loss *ir.Value
	for i, y := range k.Results {
		if !y.Type.DType.Float() || y.Name == "lse" { // attention's second result has no gradient of its own
			continue
		}
		term := b.Op("mul", "weighted", nil, y, b.Param(fmt.Sprintf("r%d", i), y.Type))
		axes := make([]int64, y.Type.Rank())
		for a := range axes {
			axes[a] = int64(a)
		}
		if len(axes) > 0 {
			term = b.Op("reduce_sum", "term", ir.Attrs{"axes": axes}, term)
		}
		if loss == nil {
			loss = term
		} else {
			loss = b.Op("add", "loss", nil, loss, term)
		}
	}
	b.Flush()
	k.Results = []*ir.Value{loss}
	return k
}

// differentiate appends the gradients of f's first result with respect to the
// given operands (parameters, or weights that f reads) and makes them f's
// results; an operand without a gradient gives nil. It is the least that a
// differentiation can be: one function, the rules in reverse.
func differentiate(f *ir.Func, wrt []*ir.Value) {
	active := map[*ir.Value]bool{}
	for _, v := range wrt {
		active[v] = true
	}
	for _, n := range f.Nodes {
		reads := slices.ContainsFunc(n.Operands, func(v *ir.Value) bool { return active[v] })
		for _, r := range n.Results {
			active[r] = reads && r.Type.DType.Float() && n.Op.Grad != nil
		}
	}
	b := ir.NewBuilder(f)
	weights := map[*ir.Value]*ir.Value{}
	g := ir.NewGrads(b, func(v *ir.Value) bool { return active[v] }, func(w, dw *ir.Value) {
		if old := weights[w]; old != nil {
			dw = b.Op("add", "d.sum", nil, old, dw)
		}
		weights[w] = dw
	})
	loss := f.Results[0]
	g.Add(loss, b.Scalar("d.loss", loss.Type.DType, 1))
	for i := len(f.Nodes) - 1; i >= 0; i-- {
		n := f.Nodes[i]
		reached := slices.ContainsFunc(n.Results, func(r *ir.Value) bool { return g.Of(r) != nil })
		if reached && slices.ContainsFunc(n.Operands, g.Needs) {
			n.Op.Grad(g, n)
		}
	}
	b.Flush()
	f.Results = nil
	for _, v := range wrt {
		d := g.Of(v)
		if v.Weight != nil {
			d = weights[v]
		}
		f.Results = append(f.Results, d)
	}
}

// problem is a function with a scalar loss and a point to differentiate at.
type problem struct {
	m    *ir.Module
	f    *ir.Func
	mach *interp.Machine
	args []*interp.Tensor
}

// value runs f alone in a module with the problem's declarations.
func (p *problem) run(t testing.TB, f *ir.Func) []*interp.Tensor {
	t.Helper()
	m := *p.m
	m.Funcs = []*ir.Func{f}
	m.Stacks = nil
	out, err := p.mach.Run(&m, f.Name, p.args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, f)
	}
	return out
}

// point is the tensor that an operand reads.
func (p *problem) point(v *ir.Value) *interp.Tensor {
	if v.Weight != nil {
		return p.mach.Weights[v.Weight.Name][0]
	}
	return p.args[slices.Index(p.f.Params, v)]
}

// operands lists the float parameters and the weights of the problem.
func (p *problem) operands() []*ir.Value {
	var list []*ir.Value
	for _, v := range p.f.Params {
		if v.Type.DType.Float() {
			list = append(list, v)
		}
	}
	for _, n := range p.f.Nodes {
		for _, v := range n.Operands {
			if v != nil && v.Weight != nil && !slices.Contains(list, v) {
				list = append(list, v)
			}
		}
	}
	return list
}

// analytic is the gradient of the loss by the rules; nil where it is zero.
func (p *problem) analytic(t testing.TB, wrt []*ir.Value) []*interp.Tensor {
	t.Helper()
	k := ir.CloneFunc(p.f, p.f.Name)
	at := func(v *ir.Value) *ir.Value {
		if v.Weight != nil {
			return k.WeightValue(v.Weight)
		}
		return k.Params[slices.Index(p.f.Params, v)]
	}
	var inside []*ir.Value
	for _, v := range wrt {
		inside = append(inside, at(v))
	}
	differentiate(k, inside)
	results := k.Results
	k.Results = slices.DeleteFunc(slices.Clone(results), func(v *ir.Value) bool { return v == nil })
	verifyAlone(t, p.m, k)
	out := p.run(t, k)
	grads := make([]*interp.Tensor, len(results))
	for i, v := range results {
		if v != nil {
			if !v.Type.Equal(wrt[i].Type) {
				t.Errorf("the gradient of %s has type %s", wrt[i], v.Type)
			}
			grads[i], out = out[0], out[1:]
		}
	}
	return grads
}

// verifyAlone verifies f with the declarations of m and without its functions.
func verifyAlone(t testing.TB, m *ir.Module, f *ir.Func) {
	t.Helper()
	k := *m
	k.Funcs = []*ir.Func{f}
	k.Stacks = nil
	for _, w := range k.Weights {
		if w.Stack != "" {
			k.Weights = nil
		}
	}
	if err := ir.Verify(&k); err != nil {
		t.Fatalf("%v\n%s", err, f)
	}
}

// numeric is the gradient by central differences with one Richardson step,
// whose error is of order h⁴.
func (p *problem) numeric(t testing.TB, v *ir.Value) []float64 {
	t.Helper()
	x := p.point(v).F
	d := make([]float64, len(x))
	for i, at := range x {
		slope := func(h float64) float64 {
			x[i] = at + h
			up := p.run(t, p.f)[0].F[0]
			x[i] = at - h
			down := p.run(t, p.f)[0].F[0]
			x[i] = at
			return (up - down) / (2 * h)
		}
		h := 2e-4 * math.Max(1, math.Abs(at))
		d[i] = (4*slope(h/2) - slope(h)) / 3
	}
	return d
}

// check compares the gradients for each operand with central differences:
// |a - n| <= 1e-6 · max(|a|, |n|, 1e-3 · max|g|). Rules depend on which operands
// need a gradient, so each is also differentiated for alone.
func (p *problem) check(t *testing.T) {
	t.Helper()
	wrt := p.operands()
	all := p.analytic(t, wrt)
	for i, v := range wrt {
		n := p.numeric(t, v)
		norm := 0.0
		for _, x := range n {
			norm = math.Max(norm, math.Abs(x))
		}
		for what, d := range map[string]*interp.Tensor{"": all[i], " alone": p.analytic(t, wrt[i:i+1])[0]} {
			for j := range n {
				a := 0.0
				if d != nil {
					a = d.F[j]
				}
				if !(math.Abs(a-n[j]) <= 1e-6*max(math.Abs(a), math.Abs(n[j]), 1e-3*norm)) {
					t.Errorf("d loss / d %s[%d]%s: the rule gives %.10g, differences %.10g", v, j, what, a, n[j])
				}
			}
		}
	}
}

// newProblem makes a problem of a function, with a loss over its results.
func newProblem(m *ir.Module, f *ir.Func, rng *rand.Rand) *problem {
	k := withLoss(f)
	return &problem{m, k, machine(m, rng), arguments(k, rng)}
}

// TestRules checks the backward rule of every op that has one, on each sample.
func TestRules(t *testing.T) {
	for _, s := range samples(t) {
		if ir.Lookup(s.op).Grad == nil {
			continue
		}
		if !slices.ContainsFunc(s.f.Params, func(v *ir.Value) bool { return v.Type.DType.Float() }) ||
			!slices.ContainsFunc(s.f.Results, func(v *ir.Value) bool { return v.Type.DType.Float() }) {
			continue // integers have no slopes
		}
		t.Run(s.name, func(t *testing.T) { newProblem(s.m, s.f, newRNG(s.name)).check(t) })
	}
}

// TestComposedRules checks gradients through several ops, values with several
// users, and gradients folded into the nodes that compute them.
func TestComposedRules(t *testing.T) {
	files, err := filepath.Glob("testdata/graphs/*.ir")
	if err != nil || len(files) == 0 {
		t.Fatalf("no graphs: %v", err)
	}
	for _, file := range files {
		m := parseFile(t, file)
		for _, f := range m.Funcs {
			name := strings.TrimSuffix(filepath.Base(file), ".ir") + "/" + f.Name
			t.Run(name, func(t *testing.T) { newProblem(m, f, newRNG(name)).check(t) })
		}
	}
}

// TestFolding: the rules of linear, linear_pack, rms_norm and add_rms_norm put a
// gradient that is there already into their own node, so that values with
// several users cost fewer additions. The other rules add.
func TestFolding(t *testing.T) {
	m := parseFile(t, "testdata/graphs/users.ir")
	for name, want := range map[string]struct{ folded, adds int }{
		"linear_thrice":           {2, 0}, // of x and of a
		"norm_beside_others":      {2, 2}, // one in the rule of silu, one behind it
		"residual_and_norm":       {1, 2}, // mul reads both a and r beside the norm
		"pack_with_unused_member": {1, 0},
		"pack_then_pack":          {1, 0},
		"residual_only":           {0, 1}, // in the rule of silu
		"norm_only":               {0, 1},
	} {
		p := newProblem(m, m.Func(name), newRNG(name))
		before := len(p.f.Nodes)
		k := ir.CloneFunc(p.f, name)
		differentiate(k, k.Params)
		folded, adds := 0, 0
		for _, n := range k.Nodes[before:] {
			switch {
			case n.Op.Name == "add":
				adds++
			case n.Op.Name == "linear_grad_x" && n.Has(2), n.Op.Name == "linear_pack_grad_x" && n.Has(0), n.Op.Name == "rms_norm_grad" && n.Has(3):
				folded++
			}
		}
		if folded != want.folded || adds != want.adds {
			t.Errorf("@%s: %d gradients are folded and %d added, want %d and %d\n%s", name, folded, adds, want.folded, want.adds, k)
		}
	}
}
