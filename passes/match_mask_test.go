package passes

import (
	"math"
	"slices"
	"testing"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/interp"
	"pgregory.net/rapid"
)

// TestSteps composes masks of comparisons and arithmetic at random. Where a
// mask is read as a step function of row minus column and of column minus a
// start, the function must agree with the interpreter at every element.
func TestSteps(t *testing.T) {
	read, fromStart := 0, 0
	one := func(t *rapid.T) {
		f := &ir.Func{Name: "main", Role: ir.RoleMain}
		b := ir.NewBuilder(f)
		choose := func(what string, n int) int { return rapid.IntRange(0, n-1).Draw(t, what) }
		const rows, cols = 5, 7
		starts := [2]*ir.Value{b.Param("starts", ir.TensorOf(ir.I32, ir.Const(rows))), b.Param("others", ir.TensorOf(ir.I32, ir.Const(rows)))}
		index := func() *ir.Value {
			dims := []ir.Dim{ir.Const(rows), ir.Const(cols)}
			a := choose("axis", 2)
			if choose("flat", 2) == 0 {
				dims[1-a] = ir.Const(1)
			}
			x := b.Op("iota", "i", ir.Attrs{"dims": dims, "axis": int64(a)})
			if choose("start", 4) == 0 {
				x = b.Reshape("s", starts[choose("which", 5)/4], ir.Const(rows), ir.Const(1))
			}
			if choose("offset", 2) == 0 {
				op := []string{"add", "sub"}[choose("op", 2)]
				x = b.Op(op, "i", nil, x, b.Scalar("c", ir.I32, float64(choose("by", 5)-2)))
			}
			return x
		}
		comparisons := []string{"less", "less_equal", "greater", "greater_equal", "equal"}
		var mask func(depth int) *ir.Value
		condition := func(depth int) *ir.Value {
			op := comparisons[choose("comparison", 5)]
			if depth > 0 && choose("of masks", 3) == 0 {
				return b.Op(op, "c", nil, mask(depth-1), mask(depth-1))
			}
			return b.Op(op, "c", nil, index(), index())
		}
		mask = func(depth int) *ir.Value {
			switch {
			case depth == 0:
				return b.Scalar("c", ir.F32, []float64{0, 1, -1, -1e9, math.Inf(-1)}[choose("number", 5)])
			case choose("kind", 2) == 0:
				return b.Op("where", "m", nil, condition(depth), mask(depth-1), mask(depth-1))
			case choose("kind", 3) == 0:
				return b.Op("cast", "m", ir.Attrs{"dtype": "f32"}, condition(depth))
			}
			op := []string{"add", "sub", "mul", "max", "min"}[choose("op", 5)]
			return b.Op(op, "m", nil, mask(depth-1), mask(depth-1))
		}
		m := mask(3)
		s, ok := stepsOf(m)
		if !ok || len(s.cuts) > 0 && s.row != 2 || !s.constant() && s.col != 1 {
			return
		}
		var first *interp.Tensor
		args := []*interp.Tensor{interp.New(ir.I32, rows), interp.New(ir.I32, rows)}
		for i := range 2 * rows {
			args[i/rows].I[i%rows] = int64(choose("first", cols+2) - 1)
		}
		switch {
		case s.start != nil:
			first = args[slices.Index(starts[:], s.start.src)]
			fromStart++
		case !s.constant():
			read++
		}
		m = b.Op("broadcast", "all", ir.Attrs{"dims": []ir.Dim{ir.Const(rows), ir.Const(cols)}}, m)
		b.Flush()
		f.Results = []*ir.Value{m}
		out, err := interp.NewMachine(nil).Run(&ir.Module{Funcs: []*ir.Func{f}}, "main", args...)
		if err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			for j := range cols {
				e := int64(0)
				if first != nil {
					e = int64(j) - first.I[i]
				}
				x, y := out[0].At(i, j), s.at(int64(i-j), e)
				if x != y && !(math.IsNaN(x) && math.IsNaN(y)) {
					t.Fatalf("[%d, %d] is %v, the steps %v say %v\n%s", i, j, x, s, y, f)
				}
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		for range 8 {
			one(t)
		}
	})
	if read < 10 || fromStart < 10 {
		t.Errorf("only %d masks were read, and %d with starts", read, fromStart)
	}
}
