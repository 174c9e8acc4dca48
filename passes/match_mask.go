package passes

import (
	"maps"
	"math"
	"slices"

	"github.com/llamac/llamac/ir"
)

// A mask of causal attention depends on d = row - column only: it hides d < 0
// and, with a window of w keys, d >= w. Whatever a mask is made of, compared
// and counted indices or a constant matrix, a step function of d says which
// elements it hides, and any elementwise arithmetic on masks is arithmetic on
// step functions.
//
// Where several documents share a sequence, a mask depends on e = column -
// start as well, the start being a number that the program is given for each
// row (match_starts.go): it hides e < 0. Such a mask is a step function of d and
// e, a table of values over a grid of cuts.

// steps is a step function of d and e: vals[i*(len(late)+1)+j] holds below
// cuts[i] and late[j], and from cuts[i-1] and late[j-1]. Without cuts it is a
// constant.
//
// An example: the causal mask that adds -inf to what is hidden is
//
//	cuts [0]   vals [-inf, 0]          -inf below d = 0, 0 from there on
//
// and with a window of 4 keys
//
//	cuts [0 4]   vals [-inf, 0, -inf]
type steps struct {
	row, col int     // the axes counted from the end, 1 for the last; 0 where nothing depends on them
	cuts     []int64 // of d
	late     []int64 // of e
	start    *view   // what e is counted from; nil if there are no cuts of e
	vals     []float64
}

func constant(x float64) steps { return steps{vals: []float64{x}} }

func (s steps) constant() bool { return len(s.vals) == 1 }

// combine applies f to the values of step functions of the same rows, columns
// and starts.
//
// The cuts of the result are those of all operands, so that within a cell of
// the grid every operand has one value; f is applied once to each cell. A cut
// between equal values does no harm.
func combine(f func(x []float64) float64, of ...steps) (steps, bool) {
	var out steps
	for _, s := range of {
		if !out.meets(s) {
			return out, false
		}
		out.cuts, out.late = append(out.cuts, s.cuts...), append(out.late, s.late...)
	}
	for _, cuts := range []*[]int64{&out.cuts, &out.late} {
		slices.Sort(*cuts)
		*cuts = slices.Compact(*cuts)
	}
	x := make([]float64, len(of))
	for i := range len(out.cuts) + 1 {
		for j := range len(out.late) + 1 {
			for k, s := range of {
				// The cell's least d and e stand for all of the cell.
				x[k] = s.at(from(out.cuts, i), from(out.late, j))
			}
			out.vals = append(out.vals, f(x))
		}
	}
	return out, true
}

// meets takes over the axes and starts of a step function and reports whether
// they are those met before.
//
// A step function that does not depend on an axis goes with any: 0 meets
// everything.
func (s *steps) meets(t steps) bool {
	same := func(mine *int, its int) bool {
		if *mine == 0 {
			*mine = its
		}
		return its == 0 || its == *mine
	}
	// The first start that is met is taken; all others must be the same one.
	if s.start == nil {
		s.start = t.start
	}
	return same(&s.row, t.row) && same(&s.col, t.col) && (t.start == nil || s.start.sameAs(*t.start))
}

// from is where step i of cuts begins.
func from(cuts []int64, i int) int64 {
	if i == 0 {
		return math.MinInt64
	}
	return cuts[i-1]
}

// step is the number of the step that x is in.
//
// A cut belongs to the step above it: binary search finds it or the place where
// it would stand.
func step(cuts []int64, x int64) int {
	i, found := slices.BinarySearch(cuts, x)
	if found {
		i++
	}
	return i
}

// at is the function's value at d and e.
func (s steps) at(d, e int64) float64 {
	return s.vals[step(s.cuts, d)*(len(s.late)+1)+step(s.late, e)]
}

// fromStart is the function of d that s is for e >= 0, if it is 0 for e < 0. It
// still tells the start.
//
// The caller knows whether e >= 0 is all that the mask asks of the start. Any
// other dependence, such as a window that begins at the start, is refused.
func (s steps) fromStart() (steps, bool) {
	out := steps{row: s.row, col: s.col, cuts: s.cuts, start: s.start}
	for i := range len(s.cuts) + 1 {
		d := from(s.cuts, i)
		x := s.at(d, 0)
		for j := range len(s.late) + 1 {
			if e := from(s.late, j); e < 0 && s.at(d, e) != 0 || e >= 0 && s.at(d, e) != x {
				return out, false
			}
		}
		out.vals = append(out.vals, x)
	}
	return out, true
}

// span gives the smallest and largest d where the function holds, if they are
// one unbroken range. An open end is math.MinInt64 or math.MaxInt64.
//
// For functions of d alone: fromStart has removed e by then.
func (s steps) span(holds func(x float64) bool) (from, to int64, ok bool) {
	first, last := -1, -1
	for i, x := range s.vals {
		if !holds(x) {
			continue
		}
		// A second range after a gap: the mask is not one band of diagonals.
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
	// A step ends just before the next cut.
	if last < len(s.cuts) {
		to = s.cuts[last] - 1
	}
	return from, to, true
}

// Booleans are 0 and 1 here, as everything is a float64.
var truth = map[bool]float64{false: 0, true: 1}

// The elementwise ops that masks are made of. Infinities behave as in the
// graph, by IEEE arithmetic: 0·inf is NaN here as well as there.
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
	// Nodes that move elements move the axes; arithmetic acts on the values;
	// and where an operand is an index and no mask, a comparison of indices
	// makes one.
	switch n.Op.Name {
	case "const":
		return toeplitz(n)
	case "reshape", "transpose", "broadcast", "slice":
		s, ok := stepsOf(n.Operands[0])
		if !ok || s.constant() {
			return s, ok
		}
		return s.after(n)
	case "cast":
		to := v.Type.DType
		s, ok := stepsOf(n.Operands[0])
		// To a narrower integer or to bool the values would change by rules of
		// their own.
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
			// Not all operands are masks: sums of indices, perhaps.
			return compared(n, f)
		}
		of = append(of, s)
	}
	return combine(f, of...)
}

// after follows a step function through a node that moves elements.
func (s steps) after(n *ir.Node) (steps, bool) {
	ok := true
	for _, a := range []*int{&s.row, &s.col} {
		if *a > 0 {
			*a = axisAfter(n, *a)
			ok = ok && *a > 0
		}
	}
	if s.start != nil && ok {
		s.start, ok = startAfter(s.start, n)
	}
	return s, ok
}

// axisAfter follows an axis, counted from the end, through a node that moves
// elements; 0 if it does not stay whole. A slice may cut its end off.
//
// The axes in front may be broadcast, split or merged as they like; the two
// that count must stay whole, since their indices are compared.
func axisAfter(n *ir.Node, fromEnd int) int {
	in, out := n.In(0), n.Result().Type
	a := in.Rank() - fromEnd
	if n.Op.Name == "slice" && n.Int("axis") == a {
		// With the end cut off indices still mean what they meant; a slice from
		// elsewhere would shift them.
		if n.Int("from") == 0 && n.Int("step") == 1 {
			return fromEnd
		}
		return 0
	}
	w, ok := identity(n.Operands[0]).then(n)
	for i := range out.Dims {
		// An axis of size 1 has no digits and could not be told from any other
		// such.
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
	// One row or column would be Toeplitz whatever it holds.
	if rows == 1 || cols == 1 { // broadcast, it would not depend on d
		return steps{}, false
	}
	s := steps{row: 2, col: 1}
	// Along the diagonals, from the upper right corner, d = 1 - cols, to the
	// lower left one, d = rows - 1. Each must hold one number.
	for d := 1 - cols; d < rows; d++ {
		i := max(d, 0)
		val := x[i*cols+i-d]
		// Element (i, i-d), row by row.
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
	// Without a cut it is a constant matrix, which scalar knows.
	return s, len(s.cuts) > 0
}

// affine is a sum of indices, each along an axis counted from the end and
// times a factor, of a start times a factor, and of a constant.
//
// Written by a spec as iota() - 1 or by an exporter as a constant 0 1 2 ...,
// reshaped to meet the other index.
type affine struct {
	coef  map[int]int64
	c     float64
	start *view // nil where times is 0
	times int64
}

// affineOf reads v as such a sum.
func affineOf(v *ir.Value) (affine, bool) {
	if c, ok := scalar(v); ok {
		return affine{coef: map[int]int64{}, c: c}, true
		// A parameter of the function. It may be a start; whether it is one is seen
		// from what it is compared with.
	}
	n := v.Def
	if n == nil {
		return startOf(v)
	}
	switch n.Op.Name {
	case "iota":
		return affine{coef: map[int]int64{v.Type.Rank() - n.Int("axis"): 1}}, true
	case "const":
		return progression(n)
	case "cast":
		// A sum of float indices may round, so casts are passed from integers
		// only.
		t := n.In(0).DType
		x, ok := affineOf(n.Operands[0])
		return x, ok && (t == ir.I32 || t == ir.I64)
	case "reshape", "transpose", "broadcast", "slice":
		x, ok := affineOf(n.Operands[0])
		// Axes are followed one by one; two that end in the same place add up.
		out := affine{coef: map[int]int64{}, c: x.c, times: x.times}
		for a, k := range x.coef {
			b := axisAfter(n, a)
			ok = ok && b > 0
			out.coef[b] += k
		}
		if x.start != nil && ok {
			out.start, ok = startAfter(x.start, n)
		}
		return out, ok
	case "add", "sub":
		x, ok := affineOf(n.Operands[0])
		y, ok2 := affineOf(n.Operands[1])
		if !ok || !ok2 {
			return affine{}, false
		}
		// Only sums: a product of indices is nothing that a mask is made of.
		sign := int64(1)
		if n.Op.Name == "sub" {
			sign = -1
		}
		return x.plus(y, sign)
	}
	return startOf(v)
}

// plus is x + sign·y, unless they have different starts.
//
// A start that cancels, as in (row - start) - (col - start), is gone.
func (x affine) plus(y affine, sign int64) (affine, bool) {
	out := affine{coef: map[int]int64{}, c: x.c + float64(sign)*y.c, start: x.start, times: x.times + sign*y.times}
	if out.start == nil {
		out.start = y.start
	}
	if x.start != nil && y.start != nil && !x.start.sameAs(*y.start) {
		return out, false
	}
	if out.times == 0 {
		out.start = nil
	}
	for a, k := range x.coef {
		out.coef[a] += k
	}
	for a, k := range y.coef {
		out.coef[a] += sign * k
	}
	return out, true
}

// progression reads a constant that counts by ones along its only axis that
// is not of size 1.
// A constant of more than one proper axis could count along either.
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
	return affine{coef: map[int]int64{len(n.Ints("shape")) - axis: 1}, c: x[0]}, true
}

// compared reads a comparison f of two sums whose difference is d or e, or the
// negative of one, plus a constant.
func compared(n *ir.Node, f func([]float64) float64) (steps, bool) {
	if n.Result().Type.DType != ir.Bool || len(n.Operands) != 2 {
		return steps{}, false
	}
	a, ok := affineOf(n.Operands[0])
	b, ok2 := affineOf(n.Operands[1])
	if !ok || !ok2 {
		return steps{}, false
	}
	diff, ok := a.plus(b, -1)
	if !ok || diff.c != math.Trunc(diff.c) {
		return steps{}, false
	}
	// Of the axes those count whose factor is not zero: row and column for d,
	// the column alone for e.
	axes := slices.Sorted(maps.Keys(diff.coef))
	axes = slices.DeleteFunc(axes, func(a int) bool { return diff.coef[a] == 0 })
	var s steps
	var sign int64 // of d or e in the difference
	switch {
	// Axes are numbered from the end, so of two the larger number is the row.
	case len(axes) == 2 && diff.start == nil:
		s.row, s.col = axes[1], axes[0]
		sign = diff.coef[s.row]
		ok = diff.coef[s.col] == -sign
	case len(axes) == 1 && diff.start != nil:
		// e is column - start, so the start has the opposite sign of the
		// column.
		s.col, s.start = axes[0], diff.start
		sign = diff.coef[s.col]
		ok = diff.times == -sign
	default:
		return steps{}, false
	}
	// 2·row - 2·column has the same sign as d, but its zero may fall between
	// integers.
	if !ok || sign*sign != 1 {
		return steps{}, false
	}
	// sign·d + c is 0 at d = -sign·c, as sign is 1 or -1.
	zero := -sign * int64(diff.c) // where the two sides are equal
	cuts := []int64{zero, zero + 1}
	if s.start == nil {
		s.cuts = cuts
	} else {
		s.late = cuts
	}
	// A comparison looks at the sign of the difference only, so three values
	// say all: below, at and above zero.
	for _, x := range []int64{-1, 0, 1} {
		s.vals = append(s.vals, f([]float64{float64(sign * x), 0}))
	}
	return s, true
}
