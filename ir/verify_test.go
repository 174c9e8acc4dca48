package ir_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/llamac/llamac/ir"
)

const small = `module m
dim T in [1, 8]
weight $w: f32[2, 2]
weight $v: f32[2, 2] of layers[2]
state !s: f32[2] of layers[2]
stack layers [0, 2) @l @b

func @l layer(%x: f32[2]) saves(%x) -> (%y) {
  %y = linear(%x, $v) : f32[2]
}

func @b backward(%d: f32[2]) loads(%x: f32[2]) -> (%dx) {
  %dx = linear_grad_x(%d, $v) : f32[2]
}

func @f main(%a: f32[2]) -> (%c) {
  %b = linear(%a, $w) : f32[2]
  %c = reduce_sum(%b) {axes = [0], keep = true} : f32[1]
}
`

// TestVerify breaks, one by one, the invariants that no text can break since
// the parser would not build such a module.
func TestVerify(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(m *ir.Module)
		want string
	}{
		{"nothing", func(m *ir.Module) {}, ""},
		{"two values of one name", func(m *ir.Module) {
			m.Func("f").Nodes[1].Results[0].Name = "b"
		}, "@f: value %b is defined twice"},
		{"a parameter of a value's name", func(m *ir.Module) {
			m.Func("f").Params[0].Name = "b"
		}, "@f: value %b is defined twice"},
		{"a loaded value of a parameter's name", func(m *ir.Module) {
			m.Func("b").Params[0].Name = "x"
		}, "@b: value %x is defined twice"},
		{"a name that is no word", func(m *ir.Module) {
			m.Func("f").Nodes[0].Results[0].Name = "a b"
		}, "@f: value %a b: not a name"},
		{"no name", func(m *ir.Module) {
			m.Func("f").Params[0].Name = ""
		}, "@f: value %: not a name"},
		{"a function whose name is no word", func(m *ir.Module) {
			m.Func("f").Name = "1f"
		}, "function @1f: not a name"},
		{"a module whose name is no word", func(m *ir.Module) {
			m.Name = "a/b"
		}, `module "a/b": not a name`},
		{"a weight whose name is no word", func(m *ir.Module) {
			m.Weights[0].Name = "w."
		}, "weight $w.: not a name"},
		{"a weight without a layout", func(m *ir.Module) {
			m.Weights[0].Layout = ""
		}, `weight $w: layout is ""`},
		{"a format that is no word", func(m *ir.Module) {
			m.Weights[0].Names = map[string]string{"h f": "w"}
		}, `weight $w: format "h f"`},
		{"nodes out of order", func(m *ir.Module) {
			slices.Reverse(m.Func("f").Nodes)
		}, "@f: %c = reduce_sum: operand 0, %b, is not defined before it"},
		{"a value of another function", func(m *ir.Module) {
			m.Func("f").Nodes[1].Operands[0] = m.Func("l").Nodes[0].Results[0]
		}, "@f: %c = reduce_sum: operand 0, %y, is not defined before it"},
		{"a result of another function", func(m *ir.Module) {
			m.Func("f").Results[0] = m.Func("l").Params[0]
		}, "@f: result %x is not defined"},
		{"a saved value of another function", func(m *ir.Module) {
			x := *m.Func("l").Params[0]
			m.Func("l").Saved[0] = &x
		}, "@l: saved %x is not defined"},
		{"a result that points to another node", func(m *ir.Module) {
			f := m.Func("f")
			f.Nodes[0].Results[0].Def = f.Nodes[1]
		}, "@f: %b = linear: result %b points elsewhere"},
		{"a result that points to another place", func(m *ir.Module) {
			m.Func("f").Nodes[0].Results[0].Index = 1
		}, "@f: %b = linear: result %b points elsewhere"},
		{"a result of another type", func(m *ir.Module) {
			m.Func("f").Nodes[0].Results[0].Type.DType = ir.BF16
		}, "@f: %b = linear: result %b has type bf16[2], want f32[2]\n@f: %c = reduce_sum: result %c has type f32[1], want bf16[1]"},
		{"a weight of another module", func(m *ir.Module) {
			f := m.Func("f")
			w := *m.Weights[0]
			f.Nodes[0].Operands[1] = f.WeightValue(&w)
		}, "@f: %b = linear: $w is not a weight of the module"},
		{"a weight whose declaration changed", func(m *ir.Module) {
			m.Weights[0].Type = ir.TensorOf(ir.BF16, ir.Const(2), ir.Const(2))
		}, "@f: %b = linear: $w has type f32[2, 2], declared bf16[2, 2]"},
		{"state of another module", func(m *ir.Module) {
			f, s := m.Func("l"), *m.State[0]
			f.Nodes[0].Operands[0] = f.StateValue(&s)
		}, "@l: %y = linear: !s is not state of the module"},
		{"state whose declaration changed", func(m *ir.Module) {
			f := m.Func("l")
			f.Nodes[0].Operands[0] = f.StateValue(m.State[0])
			m.State[0].Type = ir.TensorOf(ir.BF16, ir.Const(2))
		}, "@l: %y = linear: !s has type f32[2], declared bf16[2]"},
		{"an attribute that the row lacks", func(m *ir.Module) {
			m.Func("f").Nodes[1].Attrs["by"] = int64(1)
		}, "@f: %c = reduce_sum: reduce_sum: unknown attribute by"},
		{"an attribute of another kind", func(m *ir.Module) {
			m.Func("f").Nodes[1].Attrs["keep"] = int64(1)
		}, "@f: %c = reduce_sum: reduce_sum: attribute keep is a int64, want bool"},
		{"an attribute of no kind", func(m *ir.Module) {
			m.Func("f").Nodes[1].Attrs["keep"] = 1
		}, "@f: %c = reduce_sum: reduce_sum: attribute keep is a int, want bool"},
		{"a missing attribute", func(m *ir.Module) {
			delete(m.Func("f").Nodes[1].Attrs, "axes")
		}, "@f: %c = reduce_sum: reduce_sum: attribute axes is missing"},
		{"a stack's function that the module lacks", func(m *ir.Module) {
			m.Stacks[0].Segments[0].Forward = ir.CloneFunc(m.Func("l"), "l")
		}, "stack layers: @l is not a function of the module"},
		{"no forward function", func(m *ir.Module) {
			m.Stacks[0].Segments[0].Forward = nil
		}, "stack layers: no forward function"},
		{"a backward that loads what is not saved", func(m *ir.Module) {
			m.Func("l").Saved = nil
		}, "stack layers: @l does not store what @b reads"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := parse(t, "small", small)
			c.do(m)
			got := ""
			if err := ir.Verify(m); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf(" got %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestVerifyNormalises: absent operands at the end and attributes at their
// default are dropped, so that one node has one spelling.
func TestVerifyNormalises(t *testing.T) {
	m := parse(t, "small", small)
	f := m.Func("b")
	f.Nodes[0].Operands = append(f.Nodes[0].Operands, nil)
	sum := m.Func("f").Nodes[1]
	sum.Attrs["keep"] = false
	sum.Results[0].Type.Dims = nil
	if err := ir.Verify(m); err != nil {
		t.Fatal(err)
	}
	if len(f.Nodes[0].Operands) != 2 || len(sum.Attrs) != 1 {
		t.Errorf("%s\n%s", f.Nodes[0], sum)
	}
}

// TestVerifyReportsAll: all violations show in one run.
func TestVerifyReportsAll(t *testing.T) {
	m := parse(t, "small", small)
	m.Name = ""
	m.Weights[0].Init.Kind = "odd"
	m.Func("l").Nodes[0].Results[0].Name = "x"
	m.Func("f").Results = append(m.Func("f").Results, m.Func("l").Params[0])
	if n := len(strings.Split(ir.Verify(m).Error(), "\n")); n != 4 {
		t.Errorf("%d complaints, want 4:\n%v", n, ir.Verify(m))
	}
}
