package passes

import (
	"math"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/interp"
)

// foldLimit is the number of elements up to which constants are computed here.
//
// A constant keeps its values in the node, as float64. A mask of T² elements or
// a table of angles would swell the module, and nothing is lost by leaving it:
// the program "tables" computes such values once.
const foldLimit = 4096

// fold computes a pure primitive node whose operands are all constants, with
// the interpreter's arithmetic, so that before and after agree to the last bit
// of a float64. Broadcasts stay: the result would be longer, not simpler.
func fold(b *ir.Builder, n *ir.Node) *ir.Value {
	y := n.Result()
	// A symbolic size has no number yet, and a broadcast is cheaper kept than
	// carried out.
	if len(n.Operands) == 0 || n.Op.Group != ir.Primitive || n.Op.Name == "broadcast" || !y.Type.Size().IsConst() || y.Type.Elems() > foldLimit {
		return nil
	}
	// The node runs alone in a module of its own. A second evaluator here would
	// be a second chance to get an op wrong, and would need an oracle.
	f := &ir.Func{Name: "fold", Role: ir.RoleMain}
	fb := ir.NewBuilder(f)
	var operands []*ir.Value
	for _, x := range n.Operands {
		c := def(x, "const")
		if c == nil || x.Type.Elems() > foldLimit {
			return nil
		}
		operands = append(operands, fb.Op("const", x.Name, c.Attrs))
	}
	r := fb.Op(n.Op.Name, "y", n.Attrs, operands...)
	fb.Flush()
	f.Results = []*ir.Value{r}
	out, err := interp.NewMachine(nil).Run(&ir.Module{Funcs: []*ir.Func{f}}, "fold")
	if err != nil {
		return nil // an integer division by zero, say: left to fail where it runs
	}
	values := make([]float64, out[0].Len())
	// Tensors of the interpreter hold floats, integers or booleans in separate
	// slices; a const holds all of them as float64, which has no room for
	// integers beyond 2^53.
	for i := range values {
		switch t := out[0]; {
		case t.F != nil:
			values[i] = t.F[i]
		case t.I != nil:
			values[i] = float64(t.I[i])
			if math.Abs(values[i]) > 1<<53 {
				return nil
			}
		case t.B[i]:
			values[i] = 1
		}
	}
	shape := make([]int64, y.Type.Rank())
	for i, d := range y.Type.Dims {
		shape[i] = d.N
	}
	return b.Op("const", "y", ir.Attrs{"values": values, "shape": shape, "dtype": y.Type.DType.String()})
}
