package interp_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/interp"
)

const layered = `module layered
dim B in [1, 9]
weight $emb: f32[5, 4]
weight $w: f32[4, 4] of layers[3] {decay = true}
weight $n: f32[4] of layers[3] {init = ones}
state !seen: f32[1, 2, 1, 1, 4] of layers[3]
stack layers [0, 2) @l @l.bwd [2, 3) @m @m.bwd

func @l layer(%x: f32[B, 4], %c: f32[]) saves(%x, %a) -> (%y) {
  %a = rms_norm(%x, $n) {eps = 0.5} : f32[B, 4]
  %b = linear(%a, $w) : f32[B, 4]
  %s = mul(%b, %c) : f32[B, 4]
  %y = add(%x, %s) : f32[B, 4]
}

func @l.bwd backward(%d: f32[B, 4], %c: f32[]) loads(%x: f32[B, 4], %a: f32[B, 4]) -> (%dx) {
  %ds = mul(%d, %c) : f32[B, 4]
  %dw = linear_grad_w(%ds, %a) : f32[4, 4]
  grad_add(%dw, $w)
  %da = linear_grad_x(%ds, $w) : f32[B, 4]
  %dx, %dn = rms_norm_grad(%da, %x, $n, %d) {eps = 0.5} : f32[B, 4], f32[4]
  grad_add(%dn, $n)
}

func @m layer(%x: f32[B, 4], %c: f32[]) saves(%t) -> (%t) {
  %p = linear(%x, $w) : f32[B, 4]
  %t = tanh(%p) : f32[B, 4]
}

func @m.bwd backward(%d: f32[B, 4], %c: f32[]) loads(%t: f32[B, 4]) -> (%dx) {
  %tt = square(%t) : f32[B, 4]
  %one = const() {values = [1.0]} : f32[]
  %s = sub(%one, %tt) : f32[B, 4]
  %dp = mul(%d, %s) : f32[B, 4]
  %dx = linear_grad_x(%dp, $w) : f32[B, 4]
}

func @forward main(%x: f32[B, 4], %c: f32[]) -> (%y) {
  %y = stack(%x, %c) {name = "layers"} : f32[B, 4]
}

func @both main(%x: f32[B, 4], %c: f32[], %d: f32[B, 4]) -> (%y, %dx) {
  %y = stack(%x, %c) {name = "layers"} : f32[B, 4]
  %dx = stack_grad(%d, %c) {name = "layers"} : f32[B, 4]
}

func @backward main(%d: f32[B, 4], %c: f32[]) -> (%dx) {
  %dx = stack_grad(%d, %c) {name = "layers"} : f32[B, 4]
}

func @tied main(%d: f32[5, 4]) -> () {
  grad_add(%d, $emb)
  grad_add(%d, $emb)
}

func @update main() -> (%norm) {
  %norm = global_norm() : f32[]
  adamw(%norm)
}

func @divide main(%i: i32[3], %j: i32[3]) -> (%y) {
  %y = div(%i, %j) : i32[3]
}

func @pick main(%ids: i32[2]) -> (%y) {
  %y = gather($emb, %ids) : f32[2, 4]
}

func @logarithm main(%x: f32[2, 3]) -> (%y) {
  %n = neg(%x) : f32[2, 3]
  %y = log(%n) : f32[2, 3]
}

func @reduce main(%x: f32[4]) -> (%y) {
  %y = all_reduce(%x) {group = "tp", ways = 2} : f32[4]
}
`

func newLayered(t *testing.T) (*ir.Module, *interp.Machine) {
	m := parse(t, layered)
	mach := interp.NewMachine(map[string]int64{"B": 3})
	mach.InitWeights(m, rand.New(rand.NewPCG(1, 2)))
	for _, n := range mach.Weights["n"] {
		n.Random(rand.New(rand.NewPCG(uint64(len(n.F)), 3)))
	}
	return m, mach
}

func run(t *testing.T, mach *interp.Machine, m *ir.Module, fn string, args ...*interp.Tensor) []*interp.Tensor {
	t.Helper()
	out, err := mach.Run(m, fn, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestStack: a stack is its layers' functions one after the other, each with
// its own weights.
func TestStack(t *testing.T) {
	m, mach := newLayered(t)
	x, c := random(1, ir.F32, 3, 4), interp.Scalar(ir.F32, 0.7)
	want := x
	for l, f := range []string{"l", "l", "m"} {
		one := interp.NewMachine(mach.Dims) // a machine whose layer 0 is layer l
		for name, w := range mach.Weights {
			one.Weights[name] = w[min(l, len(w)-1):]
		}
		want = run(t, one, m, f, want, c)[0]
	}
	var layers []int
	mach.Trace = func(f *ir.Func, layer int, v *ir.Value, _ *interp.Tensor) {
		if v.Name == "y" || v.Name == "t" {
			layers = append(layers, layer)
		}
	}
	got := run(t, mach, m, "forward", x, c)[0]
	if d := interp.MaxDiff(got, want); d != 0 {
		t.Errorf("the stack differs from its layers by %g", d)
	}
	if !slices.Equal(layers, []int{0, 1, 2, -1}) {
		t.Errorf("results come from layers %v", layers)
	}
	saved := mach.Saved["layers"]
	if len(saved) != 3 || len(saved[0]) != 2 || len(saved[2]) != 1 || saved[0]["x"] != x || saved[2]["t"] == nil {
		t.Errorf("saved %v", saved)
	}
}

// TestStackGrad compares the backward functions, run in reverse, with central
// differences of the forward.
func TestStackGrad(t *testing.T) {
	m, mach := newLayered(t)
	mach.First = true
	x, c, r := random(1, ir.F32, 3, 4), interp.Scalar(ir.F32, 0.7), random(2, ir.F32, 3, 4)
	loss := func() float64 {
		y := run(t, mach, m, "forward", x, c)[0]
		s := 0.0
		for i := range y.F {
			s += y.F[i] * r.F[i]
		}
		return s
	}
	dx := run(t, mach, m, "both", x, c, r)[1]
	check := func(what string, at, d []float64) {
		for i := range at {
			const h = 1e-5
			old := at[i]
			at[i] = old + h
			up := loss()
			at[i] = old - h
			n := (up - loss()) / (2 * h)
			at[i] = old
			if !(math.Abs(n-d[i]) <= 1e-8*max(1, math.Abs(n))) {
				t.Errorf("d loss / d %s[%d] = %g, differences give %g", what, i, d[i], n)
			}
		}
	}
	check("x", x.F, dx.F)
	for l := range 2 {
		check(fmt.Sprintf("w of layer %d", l), mach.Weights["w"][l].F, mach.Grads["w"][l].F)
		check(fmt.Sprintf("n of layer %d", l), mach.Weights["n"][l].F, mach.Grads["n"][l].F)
	}
	if mach.Grads["w"][2].MaxAbs() != 0 {
		t.Error("a layer that adds no gradient has one")
	}
}

// TestGradAdd: the first micro-batch of a step overwrites, once; later ones add.
func TestGradAdd(t *testing.T) {
	m, mach := newLayered(t)
	d := random(7, ir.F32, 5, 4)
	for i, first := range []bool{true, false, true} {
		mach.First = first
		run(t, mach, m, "tied", d)
		want := d.Clone().Scale([]float64{2, 4, 2}[i])
		if e := interp.MaxDiff(mach.Grads["emb"][0], want); !(e < 1e-15) {
			t.Errorf("after run %d the gradient differs by %g", i, e)
		}
	}
}

// TestAdamW: with a constant gradient the bias-corrected moments are g and g²
// at every step, so p loses lr·g/(|g| + eps) after its decay.
func TestAdamW(t *testing.T) {
	for _, clip := range []float64{0, 0.5, 1e6} {
		m, mach := newLayered(t)
		mach.Grads = map[string][]*interp.Tensor{"emb": {random(1, ir.F32, 5, 4)}, "w": {random(2, ir.F32, 4, 4), random(3, ir.F32, 4, 4), random(4, ir.F32, 4, 4)}}
		h := interp.Hyper{LR: 0.1, Beta1: 0.9, Beta2: 0.95, Eps: 0.3, WeightDecay: 0.5, Clip: clip, GradScale: 0.25}
		sum := 0.0
		for _, gs := range mach.Grads {
			for _, g := range gs {
				for _, x := range g.F {
					sum += x * x / 16
				}
			}
		}
		norm := math.Sqrt(sum)
		scale := 0.25
		if clip > 0 {
			scale *= math.Min(1, clip/(norm+1e-6))
		}
		want := map[string][]*interp.Tensor{}
		for name, ws := range mach.Weights {
			for _, w := range ws {
				want[name] = append(want[name], w.Clone())
			}
		}
		for h.Step = 1; h.Step <= 3; h.Step++ {
			mach.Hyper = h
			got := run(t, mach, m, "update")[0].At()
			if math.Abs(got-norm) > 1e-14*norm {
				t.Errorf("the norm is %v, want %v", got, norm)
			}
			for name, ws := range want {
				for l, w := range ws {
					for i := range w.F {
						if mach.Grads[name] != nil {
							if name == "w" { // the only weight that decays
								w.F[i] *= 1 - 0.1*0.5
							}
							g := scale * mach.Grads[name][l].F[i]
							w.F[i] -= 0.1 * g / (math.Abs(g) + 0.3)
						}
					}
					if d := interp.MaxDiff(mach.Weights[name][l], w); !(d < 1e-13) {
						t.Errorf("clip %g, step %d: %s of layer %d differs by %g", clip, h.Step, name, l, d)
					}
				}
			}
		}
	}
}

// TestErrors holds the machine to its messages.
func TestErrors(t *testing.T) {
	x, c := interp.New(ir.F32, 3, 4), interp.New(ir.F32)
	ints := func(v ...int32) *interp.Tensor { return interp.FromI32(v, len(v)) }
	for _, e := range []struct {
		name string
		do   func(*ir.Module, *interp.Machine) error
		want string
	}{
		{"no function", call("nowhere"), "interp: no function named @nowhere"},
		{"few arguments", call("forward", x), "interp: @forward takes 2 arguments, not 1"},
		{"another shape", call("forward", c, c), "interp: @forward: argument %x is f32[], not f32[3 4]"},
		{"another type", call("divide", ints(1, 2, 3), interp.New(ir.I64, 3)), "interp: @divide: argument %j is i64[3], not i32[3]"},
		{"division", call("divide", ints(1, 2, 3), ints(1, 0, 1)), "interp: @divide: %y = div: integer division by zero"},
		{"ids", call("pick", ints(1, 5)), "interp: @pick: %y = gather: id 5 is not in [0, 5)"},
		{"negative ids", call("pick", ints(1, -1)), "interp: @pick: %y = gather: id -1 is not in [0, 5)"},
		{"devices", call("reduce", interp.New(ir.F32, 4)), "interp: @reduce: %y = all_reduce: 2 ways: there is only one device"},
		{"backward alone", call("backward", x, c), "interp: @backward: %dx = stack_grad: stack layers has not run forward"},
		{"steps", call("update"), "interp: @update: adamw: step 0: steps count from 1"},
		{"dimension", func(m *ir.Module, mach *interp.Machine) error {
			mach.Dims = nil
			return call("forward", x, c)(m, mach)
		}, "interp: @forward: f32[B, 4]: dimension B has no value"},
		{"weight", func(m *ir.Module, mach *interp.Machine) error {
			delete(mach.Weights, "emb")
			return call("pick", ints(1, 1))(m, mach)
		}, "interp: @pick: %y = gather: $emb has no value"},
		{"layers", func(m *ir.Module, mach *interp.Machine) error {
			mach.Weights["w"] = mach.Weights["w"][:1]
			return call("forward", x, c)(m, mach)
		}, "interp: @forward: %y = stack: @l: layer 1: %b = linear: $w has 1 layers, layer 1 is read"},
		{"finite", func(m *ir.Module, mach *interp.Machine) error {
			mach.CheckFinite = true
			x := interp.FromF64([]float64{-1, -2, -3, -4, 1, -6}, 2, 3)
			return call("logarithm", x)(m, mach)
		}, "interp: @logarithm: %y = log: %y is NaN at element [1 1]"},
		{"finite in a layer", func(m *ir.Module, mach *interp.Machine) error {
			mach.CheckFinite = true
			mach.Weights["w"][1].Set(math.Inf(-1), 2, 0)
			return call("forward", random(1, ir.F32, 3, 4), c)(m, mach)
		}, "interp: @forward: %y = stack: @l: layer 1: %b = linear: %b is +Inf at element [0 2]"},
	} {
		m, mach := newLayered(t)
		err := e.do(m, mach)
		if err == nil || strings.Replace(err.Error(), "-Inf", "+Inf", 1) != e.want {
			t.Errorf("%s:\n got %v\nwant %s", e.name, err, e.want)
		}
	}
}

func call(fn string, args ...*interp.Tensor) func(*ir.Module, *interp.Machine) error {
	return func(m *ir.Module, mach *interp.Machine) error {
		_, err := mach.Run(m, fn, args...)
		return err
	}
}

// TestRun reaches functions of every role.
func TestRun(t *testing.T) {
	m, mach := newLayered(t)
	x, c, d := random(1, ir.F32, 3, 4), interp.Scalar(ir.F32, 0.7), random(2, ir.F32, 3, 4)
	run(t, mach, m, "l", x, c)
	a := eval(t, "(%x: f32[3, 4], %n: f32[4]) -> (%y) { %y = rms_norm(%x, %n) {eps = 0.5} : f32[3, 4] }", x, mach.Weights["n"][0])[0]
	mach.First = true
	run(t, mach, m, "l.bwd", d, c, x, a)
	if mach.Grads["w"][0].MaxAbs() == 0 || mach.Grads["w"][1].MaxAbs() != 0 {
		t.Error("a backward function alone is that of layer 0")
	}
}
