package passes

import (
	"slices"
	"testing"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/interp"
	"pgregory.net/rapid"
)

// randomMoves appends up to n nodes that only move elements and returns the
// last value.
func randomMoves(t *rapid.T, b *ir.Builder, x *ir.Value, n int) *ir.Value {
	choose := func(what string, n int) int { return rapid.IntRange(0, n-1).Draw(t, what) }
	for range choose("moves", n+1) {
		d := x.Type.Dims
		axis := func() int64 { return int64(choose("axis", len(d))) }
		size := x.Type.Elems()
		switch choose("move", 6) {
		case 0:
			var dims []ir.Dim
			for rest := size; len(dims) < 5; {
				f := int64(1)
				for _, p := range []int64{2, 3, 5} {
					if rest%p == 0 && choose("factor", 2) == 0 {
						f *= p
					}
				}
				rest /= f
				if len(dims) == 4 || choose("last", 4) == 0 {
					dims = append(dims, ir.Const(f*rest))
					break
				}
				dims = append(dims, ir.Const(f))
			}
			x = b.Op("reshape", "x", ir.Attrs{"dims": dims}, x)
		case 1:
			perm := make([]int64, len(d))
			for i := range perm {
				perm[i] = int64(i)
			}
			x = b.Op("transpose", "x", ir.Attrs{"perm": rapid.Permutation(perm).Draw(t, "perm")}, x)
		case 2:
			dims := slices.Clone(d)
			for i := range dims {
				if dims[i].Is(1) {
					dims[i] = ir.Const(int64(1 + choose("repeat", 3)))
				}
			}
			if len(dims) < 5 && choose("lead", 2) == 0 {
				dims = append([]ir.Dim{ir.Const(2)}, dims...)
			}
			if (ir.Type{Dims: dims}).Elems() < 500 {
				x = b.Op("broadcast", "x", ir.Attrs{"dims": dims}, x)
			}
		case 3:
			a := axis()
			from := int64(choose("from", int(d[a].N)))
			to := from + 1 + int64(choose("count", int(d[a].N-from)))
			x = b.Op("slice", "x", ir.Attrs{"axis": a, "from": from, "to": to, "step": int64(1 + choose("step", 3))}, x)
		case 4:
			if size < 300 {
				x = b.Op("concat", "x", ir.Attrs{"axis": axis()}, x, x)
			}
		case 5:
			a := axis()
			if size > 300 || d[a].N > 4 {
				continue
			}
			var rows []*ir.Value
			for i := range d[a].N {
				row := b.Op("slice", "row", ir.Attrs{"axis": a, "from": i, "to": i + 1}, x)
				rows = append(rows, row, row)
			}
			x = b.Op("concat", "x", ir.Attrs{"axis": a}, rows...)
		}
	}
	return x
}

// TestViews checks views against the interpreter: the source holds its own
// element numbers, and the view must say which of them each element is.
func TestViews(t *testing.T) {
	known, all := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		f := &ir.Func{Name: "main", Role: ir.RoleMain}
		b := ir.NewBuilder(f)
		dims := []ir.Dim{ir.Const(2), ir.Const(6), ir.Const(5)}
		src := b.Param("src", ir.TensorOf(ir.F32, dims...))
		v := randomMoves(t, b, src, 6)
		c := trace(v, false)
		i := slices.Index(c.vals, src)
		if i < 0 {
			t.Fatalf("the chain does not reach the source: %v", b.Nodes)
		}
		w, ok := c.view(i)
		all++
		if !ok {
			return
		}
		known++
		results := []*ir.Value{v}
		if w.effort(w.axes, v.Type.Dims) < impossible {
			results = append(results, w.produce(b, "again", w.axes))
		}
		f.Results = results
		b.Flush()
		numbers := make([]float64, 60)
		for i := range numbers {
			numbers[i] = float64(i)
		}
		out, err := interp.NewMachine(nil).Run(&ir.Module{Funcs: []*ir.Func{f}}, "main", interp.FromF64(numbers, 2, 6, 5))
		if err != nil {
			t.Fatal(err)
		}
		if len(out) == 2 && !slices.Equal(out[0].F, out[1].F) {
			t.Fatalf("produced %v, want %v\n%s", out[1].F, out[0].F, f)
		}
		for k, got := range out[0].F {
			if want := w.element(k, v.Type, dims); got != float64(want) {
				t.Fatalf("element %d is %v of the source, the view %v + %v says %v\n%s", k, got, w.axes, w.off, want, f)
			}
		}
	})
	if known*3 < all {
		t.Errorf("only %d of %d chains had a view", known, all)
	}
}

// element is the source element that element k of the view, of type t, is.
func (w view) element(k int, t ir.Type, src []ir.Dim) int {
	at := slices.Clone(w.off)
	for a := t.Rank() - 1; a >= 0; a-- {
		i := int64(k) % t.Dims[a].N
		k /= int(t.Dims[a].N)
		for _, d := range slices.Backward(w.axes[a]) {
			if d.axis >= 0 {
				at[d.axis] += i % d.size.N * d.stride.N
			}
			i /= d.size.N
		}
	}
	e := 0
	for a, d := range src {
		e = e*int(d.N) + int(at[a])
	}
	return e
}

// TestReplay repeats a chain of moves on another value.
func TestReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := &ir.Func{Name: "main", Role: ir.RoleMain}
		b := ir.NewBuilder(f)
		x := b.Param("x", ir.TensorOf(ir.F32, ir.Const(2), ir.Const(6), ir.Const(5)))
		c := trace(randomMoves(t, b, x, 6), false)
		i := slices.Index(c.vals, x)
		y := c.replay(b, "y", i, b.Op("neg", "minus", nil, x))
		f.Results = []*ir.Value{b.Op("neg", "back", nil, y), c.vals[0]}
		b.Flush()
		in := interp.New(ir.F32, 2, 6, 5)
		for i := range in.F {
			in.F[i] = float64(i)
		}
		out, err := interp.NewMachine(nil).Run(&ir.Module{Funcs: []*ir.Func{f}}, "main", in)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(out[0].F, out[1].F) {
			t.Fatalf("the chain again gives %v, want %v\n%s", out[0].F, out[1].F, f)
		}
	})
}
