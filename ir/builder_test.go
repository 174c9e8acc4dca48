package ir_test

import (
	"strings"
	"testing"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/interp"
)

// TestBuilder builds a function and wants its text.
func TestBuilder(t *testing.T) {
	f := &ir.Func{Name: "f", Role: ir.RoleMain}
	b := ir.NewBuilder(f)
	x := b.Param("x", ir.TensorOf(ir.F32, ir.Const(2), ir.Const(6)))
	w := b.Param("x", ir.TensorOf(ir.F32, ir.Const(6)))
	n := b.Node("add_rms_norm", "n", ir.Attrs{"eps": 0.5}, x, x, w)
	q := b.Node("linear_pack", "p,q", nil, x, b.Param("m", ir.TensorOf(ir.F32, ir.Const(1), ir.Const(6))), f.Params[2])
	same := b.Reshape("same", x, ir.Const(2), ir.Const(6))
	if same != x {
		t.Error("a reshape to the same shape is a node")
	}
	y := b.Reshape("r", n.Results[1], ir.Const(3), ir.Const(4))
	sum := b.SumTo("s", x, ir.TensorOf(ir.F32, ir.Const(1), ir.Const(1)))
	two := b.Op("mul", "r", nil, sum, b.Scalar("two", ir.F32, 2))
	if _, err := b.TryOp("add", "bad", nil, x, y); err == nil || !strings.HasPrefix(err.Error(), "add: shapes") {
		t.Errorf("an ill-typed node gives %v", err)
	}
	if _, err := b.TryOp("addd", "bad", nil, x, y); err == nil || err.Error() != `no op named "addd"` {
		t.Errorf("an unknown op gives %v", err)
	}
	b.Flush()
	f.Results = []*ir.Value{y, two, q.Results[1]}
	const want = `func @f main(%x: f32[2, 6], %x.1: f32[6], %m: f32[1, 6]) -> (%r, %r.1, %q) {
  %n.r, %n.y = add_rms_norm(%x, %x, %x.1) {eps = 0.5} : f32[2, 6], f32[2, 6]
  %p, %q = linear_pack(%x, %m, %m) : f32[2, 1], f32[2, 1]
  %r = reshape(%n.y) {dims = dims[3, 4]} : f32[3, 4]
  %s = reduce_sum(%x) {axes = [0, 1]} : f32[]
  %s.1 = reshape(%s) {dims = dims[1, 1]} : f32[1, 1]
  %two = const() {values = [2.0]} : f32[]
  %r.1 = mul(%s.1, %two) : f32[1, 1]
}
`
	if got := f.String(); got != want {
		t.Errorf("built\n%s", got)
	}
	defer func() {
		if r := recover(); r == nil || !strings.Contains(r.(string), "building %bad: add: shapes") {
			t.Errorf("an ill-typed node panics with %v", r)
		}
	}()
	b.Op("add", "bad", nil, x, y)
}

// TestSumTo undoes broadcasts of every kind: summed over what a shape gained,
// a tensor of ones counts the repetitions.
func TestSumTo(t *testing.T) {
	B := ir.Sym("B")
	one, two, three := ir.Const(1), ir.Const(2), ir.Const(3)
	for _, c := range []struct{ from, to []ir.Dim }{
		{[]ir.Dim{two, three}, []ir.Dim{two, three}},
		{[]ir.Dim{two, three}, []ir.Dim{three}},
		{[]ir.Dim{two, three}, []ir.Dim{}},
		{[]ir.Dim{two, three}, []ir.Dim{two, one}},
		{[]ir.Dim{B, two, three}, []ir.Dim{one, three}},
		{[]ir.Dim{B, two, B}, []ir.Dim{B, one, B}},
		{[]ir.Dim{B, one, three}, []ir.Dim{one, one}},
	} {
		f := &ir.Func{Name: "f", Role: ir.RoleMain}
		b := ir.NewBuilder(f)
		x := b.Param("x", ir.TensorOf(ir.F32, c.from...))
		f.Results = []*ir.Value{b.SumTo("s", x, ir.TensorOf(ir.F32, c.to...))}
		b.Flush()
		if !f.Results[0].Type.Equal(ir.TensorOf(ir.F32, c.to...)) {
			t.Errorf("%v to %v gives %s", c.from, c.to, f.Results[0].Type)
		}
		in := arguments(f, newRNG("sum"))[0]
		for i := range in.F {
			in.F[i] = 1
		}
		m := interp.NewMachine(sizes)
		out, err := m.Run(&ir.Module{Funcs: []*ir.Func{f}}, "f", in)
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range out[0].F {
			if want := float64(in.Len() / out[0].Len()); got != want {
				t.Errorf("%v to %v counts %g, want %g", c.from, c.to, got, want)
			}
		}
	}
}
