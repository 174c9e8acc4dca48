package passes

import (
	"math"
	"slices"

	"github.com/llamac/llamac/ir"
)

// A mask of causal attention depends on d = row - column only: it hides d < 0
// and, with a window of w keys, d >= w. Whatever a mask is made of, compared
// and counted indices or a constant matrix, a step function of d says which
// elements it hides, and any elementwise arithmetic on masks is arithmetic on
// step functions.

// steps is a step function of d: vals[i] holds below cuts[i] and from
// cuts[i-1]. Without cuts it is a constant.
type steps struct {
	row, col int // the axes counted from the end, 1 for the last; 0 in a constant
	cuts     []int64
	vals     []float64
}

func constant(x float64) steps { return steps{vals: []float64{x}} }

// combine applies f to the values of step functions of the same rows and
// columns.
func combine(f func(x []float64) float64, of ...steps) (steps, bool) {
	var out steps
	for _, s := range of {
		out.cuts = append(out.cuts, s.cuts...)
		if len(s.cuts) == 0 {
			continue
		}
		if out.row != 0 && (out.row != s.row || out.col != s.col) {
			return out, false
		}
		out.row, out.col = s.row, s.col
	}
	slices.Sort(out.cuts)
	out.cuts = slices.Compact(out.cuts)
	x := make([]float64, len(of))
	for i := range len(out.cuts) + 1 {
		for k, s := range of {
			x[k] = s.vals[0]
			if i > 0 {
				x[k] = s.at(out.cuts[i-1])
			}
		}
		out.vals = append(out.vals, f(x))
	}
	return out, true
}

// at is the function's value at d.
func (s steps) at(d int64) float64 {
	i, found := slices.BinarySearch(s.cuts, d)
	if found {
		i++
	}
	return s.vals[i]
}

// span gives the smallest and largest d where the function holds, if they are
// one unbroken range. An open end is math.MinInt64 or math.MaxInt64.
func (s steps) span(holds func(x float64) bool) (from, to int64, ok bool) {
	first, last := -1, -1
	for i, x := range s.vals {
		if !holds(x) {
			continue
		}
		if first >= 0 && last != i-1 {
			return 0, 0, false
		}
		if first < 0 {
			first = i
		}
		last = i
	}
	if first < 0 {
		return 0, 0, false
	}
	from, to = math.MinInt64, math.MaxInt64
	if first > 0 {
		from = s.cuts[first-1]
	}
	if last < len(s.cuts) {
		to = s.cuts[last] - 1
	}
	return from, to, true
}

var truth = map[bool]float64{false: 0, true: 1}

var scalarOps = map[string]func(x []float64) float64{
	"add": func(x []float64) float64 { return x[0] + x[1] },
	"sub": func(x []float64) float64 { return x[0] - x[1] },
	"mul": func(x []float64) float64 { return x[0] * x[1] },
	"div": func(x []float64) float64 { return x[0] / x[1] },
	"neg": func(x []float64) float64 { return -x[0] },
	"max": func(x []float64) float64 { return math.Max(x[0], x[1]) },
	"min": func(x []float64) float64 { return math.Min(x[0], x[1]) },
	"where": func(x []float64) float64 {
		if x[0] != 0 {
			return x[1]
		}
		return x[2]
	},
	"less":          func(x []float64) float64 { return truth[x[0] < x[1]] },
	"less_equal":    func(x []float64) float64 { return truth[x[0] <= x[1]] },
	"greater":       func(x []float64) float64 { return truth[x[0] > x[1]] },
	"greater_equal": func(x []float64) float64 { return truth[x[0] >= x[1]] },
	"equal":         func(x []float64) float64 { return truth[x[0] == x[1]] },
}

// stepsOf is v as a step function, if it is one.
func stepsOf(v *ir.Value) (steps, bool) {
	if c, ok := scalar(v); ok {
		return constant(c), true
	}
	n := v.Def
	if n == nil {
		return steps{}, false
	}
	switch n.Op.Name {
	case "const":
		return toeplitz(n)
	case "reshape", "transpose", "broadcast", "slice":
		s, ok := stepsOf(n.Operands[0])
		if !ok || len(s.cuts) == 0 {
			return s, ok
		}
		s.row, s.col = axisAfter(n, s.row), axisAfter(n, s.col)
		return s, s.row > 0 && s.col > 0
	case "cast":
		to := v.Type.DType
		s, ok := stepsOf(n.Operands[0])
		return s, ok && (to.Float() || to == ir.I32 || to == ir.I64 || to == n.In(0).DType)
	}
	f, ok := scalarOps[n.Op.Name]
	if !ok {
		return steps{}, false
	}
	var of []steps
	for _, x := range n.Operands {
		s, ok := stepsOf(x)
		if !ok {
			return compared(n, f)
		}
		of = append(of, s)
	}
	return combine(f, of...)
}

// axisAfter follows an axis, counted from the end, through a node that moves
// elements; 0 if it does not stay whole. A slice may cut its end off.
func axisAfter(n *ir.Node, fromEnd int) int {
	in, out := n.In(0), n.Result().Type
	a := in.Rank() - fromEnd
	if n.Op.Name == "slice" && n.Int("axis") == a {
		if n.Int("from") == 0 && n.Int("step") == 1 {
			return fromEnd
		}
		return 0
	}
	w, ok := identity(n.Operands[0]).then(n)
	for i := range out.Dims {
		if ok && !in.Dims[a].Is(1) && slices.Equal(w.axes[i], whole(in, a)) {
			return out.Rank() - i
		}
	}
	return 0
}

// toeplitz reads a constant matrix whose elements depend on d only. Leading
// axes have size 1.
func toeplitz(n *ir.Node) (steps, bool) {
	shape := n.Ints("shape")
	r := len(shape)
	if r < 2 || slices.ContainsFunc(shape[:r-2], func(d int64) bool { return d != 1 }) {
		return steps{}, false
	}
	x, rows, cols := n.Floats("values"), shape[r-2], shape[r-1]
	if rows == 1 || cols == 1 { // broadcast, it would not depend on d
		return steps{}, false
	}
	s := steps{row: 2, col: 1}
	for d := 1 - cols; d < rows; d++ {
		i := max(d, 0)
		val := x[i*cols+i-d]
		for ; i < rows && i-d < cols; i++ {
			if x[i*cols+i-d] != val {
				return steps{}, false
			}
		}
		if k := len(s.vals); k == 0 || s.vals[k-1] != val {
			if k > 0 {
				s.cuts = append(s.cuts, d)
			}
			s.vals = append(s.vals, val)
		}
	}
	return s, len(s.cuts) > 0
}

// affine is a sum of indices, each along an axis counted from the end and
// times a factor, and a constant.
type affine struct {
	coef map[int]int64
	c    float64
}

// affineOf reads v as such a sum.
func affineOf(v *ir.Value) (affine, bool) {
	if c, ok := scalar(v); ok {
		return affine{map[int]int64{}, c}, true
	}
	n := v.Def
	if n == nil {
		return affine{}, false
	}
	switch n.Op.Name {
	case "iota":
		return affine{map[int]int64{v.Type.Rank() - n.Int("axis"): 1}, 0}, true
	case "const":
		return progression(n)
	case "cast":
		t := n.In(0).DType
		x, ok := affineOf(n.Operands[0])
		return x, ok && (t == ir.I32 || t == ir.I64)
	case "reshape", "transpose", "broadcast", "slice":
		x, ok := affineOf(n.Operands[0])
		out := affine{map[int]int64{}, x.c}
		for a, k := range x.coef {
			b := axisAfter(n, a)
			ok = ok && b > 0
			out.coef[b] += k
		}
		return out, ok
	case "add", "sub":
		x, ok := affineOf(n.Operands[0])
		y, ok2 := affineOf(n.Operands[1])
		sign := int64(1)
		if n.Op.Name == "sub" {
			sign = -1
		}
		return x.plus(y, sign), ok && ok2
	}
	return affine{}, false
}

func (x affine) plus(y affine, sign int64) affine {
	out := affine{map[int]int64{}, x.c + float64(sign)*y.c}
	for a, k := range x.coef {
		out.coef[a] += k
	}
	for a, k := range y.coef {
		out.coef[a] += sign * k
	}
	return out
}

// progression reads a constant that counts by ones along its only axis that
// is not of size 1.
func progression(n *ir.Node) (affine, bool) {
	x, axis := n.Floats("values"), -1
	for a, d := range n.Ints("shape") {
		if d == 1 {
			continue
		}
		if axis >= 0 {
			return affine{}, false
		}
		axis = a
	}
	for i := range x {
		if x[i] != x[0]+float64(i) {
			return affine{}, false
		}
	}
	if axis < 0 {
		return affine{}, false
	}
	return affine{map[int]int64{len(n.Ints("shape")) - axis: 1}, x[0]}, true
}

// compared reads a comparison f of two index sums whose difference is d, or
// -d, plus a constant.
func compared(n *ir.Node, f func([]float64) float64) (steps, bool) {
	if n.Result().Type.DType != ir.Bool || len(n.Operands) != 2 {
		return steps{}, false
	}
	a, ok := affineOf(n.Operands[0])
	b, ok2 := affineOf(n.Operands[1])
	if !ok || !ok2 {
		return steps{}, false
	}
	diff := a.plus(b, -1)
	var s steps
	for axis, k := range diff.coef {
		if k != 0 && axis > s.row {
			s.row, s.col = axis, s.row
		} else if k != 0 {
			s.col = axis
		}
	}
	sign := diff.coef[s.row]
	zero := -sign * int64(diff.c) // d where the two sides are equal
	count := 0
	for _, k := range diff.coef {
		if k != 0 {
			count++
		}
	}
	if count != 2 || sign*sign != 1 || diff.coef[s.col] != -sign || diff.c != math.Trunc(diff.c) {
		return steps{}, false
	}
	s.cuts = []int64{zero, zero + 1}
	for _, d := range []int64{-1, 0, 1} {
		s.vals = append(s.vals, f([]float64{float64(sign * d), 0}))
	}
	return s, true
}
