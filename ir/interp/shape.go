package interp

import "fmt"

// Ops that make and move data. Most walk the elements of the result, turn each
// one's place into an index, and copy from where the op's definition says;
// pad and concat walk their operands and say where elements go.
var shapeKernels = map[string]kernel{
	"const": pure(func(c *call) {
		for i, x := range c.n.Floats("values") {
			c.out[0].setNumber(i, x)
		}
	}),
	// Positions for RoPE and masks.
	"iota": pure(func(c *call) {
		y, axis := c.out[0], c.n.Int("axis")
		for i := range y.I {
			y.I[i] = int64(unravel(i, y.Dims)[axis])
		}
	}),
	// Floats keep all 64 bits unless Machine.Round says otherwise; to an
	// integer type they are rounded to nearest even, to bool compared with 0.
	"cast": pure(func(c *call) {
		x, y := c.in[0], c.out[0]
		for i := range y.Len() {
			if x.I != nil && y.I != nil {
				y.I[i] = x.I[i] // float64 holds 53 bits only
			} else {
				y.setNumber(i, x.number(i))
			}
		}
	}),
	// Row-major order is the same under both shapes.
	"reshape": pure(func(c *call) {
		for i := range c.out[0].Len() {
			c.out[0].copyFrom(i, c.in[0], i)
		}
	}),
	// y[i0, i1, ...] = x[j0, j1, ...] with j[perm[a]] = i[a].
	"transpose": pure(func(c *call) {
		x, y, perm := c.in[0], c.out[0], c.n.Ints("perm")
		for i := range y.Len() {
			to := unravel(i, y.Dims)
			from := make([]int, len(to))
			for a, p := range perm {
				from[p] = to[a]
			}
			y.copyFrom(i, x, x.Index(from...))
		}
	}),
	// As NumPy repeats: an axis of 1, or one that is not there, has one element
	// for all.
	"broadcast": pure(func(c *call) {
		x, y := c.in[0], c.out[0]
		for i, from := range broadcast(x.Dims, y.Dims) {
			y.copyFrom(i, x, from)
		}
	}),
	// y[..., i, ...] = x[..., from + i·step, ...].
	// step > 1 takes every so many: RoPE's even and odd channels.
	"slice": pure(func(c *call) {
		x, y := c.in[0], c.out[0]
		axis, from, step := c.n.Int("axis"), c.n.Int("from"), c.n.Int("step")
		for i := range y.Len() {
			at := unravel(i, y.Dims)
			at[axis] = from + at[axis]*step
			y.copyFrom(i, x, x.Index(at...))
		}
	}),
	// y[..., before + i·step, ...] = x[..., i, ...], zero elsewhere.
	// It is the gradient of slice: what was not read has none.
	"pad": pure(func(c *call) {
		x, y := c.in[0], c.out[0]
		axis, before, step := c.n.Int("axis"), c.n.Int("before"), c.n.Int("step")
		for i := range x.Len() {
			at := unravel(i, x.Dims)
			at[axis] = before + at[axis]*step
			y.copyFrom(y.Index(at...), x, i)
		}
	}),
	// Each operand begins where the ones before it end.
	// All axes but one are equal.
	"concat": pure(func(c *call) {
		y, axis, before := c.out[0], c.n.Int("axis"), 0
		for _, x := range c.in {
			for i := range x.Len() {
				at := unravel(i, x.Dims)
				at[axis] += before
				y.copyFrom(y.Index(at...), x, i)
			}
			before += x.Dims[axis]
		}
	}),
	// y[..., j] = table[ids[...], j].
	// An embedding, one row an id.
	"gather": func(c *call) error {
		table, ids, y := c.in[0], c.in[1], c.out[0]
		width := table.last()
		for i, id := range ids.I {
			if err := inRange("id", id, table.Dims[0]); err != nil {
				return err
			}
			for j := range width {
				y.copyFrom(i*width+j, table, int(id)*width+j)
			}
		}
		return nil
	},
	// A row that several ids name receives the sum of their gradients.
	// The table's other rows keep the zeros that they start with.
	"gather_grad": func(c *call) error {
		ids, dy, dtable := c.in[0], c.in[1], c.out[0]
		for i, id := range ids.I {
			if err := inRange("id", id, dtable.Dims[0]); err != nil {
				return err
			}
			axpy(dtable.row(int(id)), 1, dy.row(i))
		}
		return nil
	},
}

// inRange checks an index that comes from data.
// Ids, targets, positions and blocks are numbers that no type bounds.
func inRange(what string, i int64, n int) error {
	if i < 0 || i >= int64(n) {
		return fmt.Errorf("%s %d is not in [0, %d)", what, i, n)
	}
	return nil
}

// broadcast gives for each element of shape to the element of shape from that
// it repeats. Axes align at the end.
func broadcast(from, to []int) []int {
	lead := len(to) - len(from)
	idx := make([]int, size(to))
	for i := range idx {
		at := unravel(i, to)
		for a, d := range from {
			j := at[lead+a]
			if d == 1 {
				j = 0
			}
			// Row-major place in the smaller tensor, axis by axis.
			idx[i] = idx[i]*d + j
		}
	}
	return idx
}
