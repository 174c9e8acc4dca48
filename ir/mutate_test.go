package ir_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/llamac/llamac/ir"
)

// TestMutants changes samples at random: types of parameters, attributes,
// operands. The row must reject a mutant or give it types with which it prints,
// parses, costs and runs; an error of the interpreter (an index out of range)
// is fine, a panic anywhere is not.
func TestMutants(t *testing.T) {
	well, ill := 0, 0
	for _, s := range samples(t) {
		rng := newRNG("mutants of " + s.name)
		if s.node(t).Op.Group == ir.Control || s.node(t).Op.Group == ir.Optimiser {
			continue
		}
		for range 60 {
			k := *s.m
			k.Stacks = nil
			f := ir.CloneFunc(s.f, s.f.Name)
			k.Funcs = []*ir.Func{f}
			k.Weights = nil
			if s.op == "grad_add" {
				k.Weights = s.m.Weights[:1]
			}
			for range 1 + rng.IntN(2) {
				mutate(f, rng)
			}
			func() {
				defer func() {
					if r := recover(); r != nil {
						t.Errorf("%v\n%s", r, f)
					}
				}()
				if runMutant(t, &k, f, rng) {
					well++
				} else {
					ill++
				}
			}()
		}
	}
	t.Logf("%d mutants were well typed, %d were not", well, ill)
	if well < 500 || ill < 500 {
		t.Errorf("%d mutants were well typed, %d were not: too few to mean anything", well, ill)
	}
}

// runMutant gives the function's nodes new result types and puts it through
// everything, if it verifies.
func runMutant(t *testing.T, m *ir.Module, f *ir.Func, rng *rand.Rand) bool {
	t.Helper()
	for _, n := range f.Nodes {
		types, err := n.Op.Infer(n)
		if err != nil {
			return false
		}
		if len(types) != len(n.Results) {
			return false
		}
		for i, x := range types {
			n.Results[i].Type = x
		}
		if err := ir.Verify(m); err != nil {
			t.Errorf("with the row's own types: %v\n%s", err, f)
			return false
		}
	}
	text := m.String()
	if again := parse(t, "mutant", text).String(); again != text {
		t.Errorf("prints as\n%s\nand then as\n%s", text, again)
	}
	bound := ir.Clone(m, sizes)
	if err := ir.Verify(bound); err != nil {
		t.Errorf("bound: %v\n%s", err, text)
		return true
	}
	if c := ir.FuncCost(bound, bound.Funcs[0], ir.NodeCost); c.FLOPs < 0 || c.Bytes < 0 {
		t.Errorf("cost %+v\n%s", c, text)
	}
	mach := machine(m, rng)
	_, _ = mach.Run(m, f.Name, arguments(f, rng)...)
	return true
}

// mutate makes one random change. Operands and attributes stay of the number
// and kinds that the row declares: that much is checked before Infer.
func mutate(f *ir.Func, rng *rand.Rand) {
	n := f.Nodes[rng.IntN(len(f.Nodes))]
	if len(n.Attrs) > 0 && rng.IntN(3) == 0 {
		names := make([]string, 0, len(n.Attrs))
		for name := range n.Attrs {
			names = append(names, name)
		}
		slices.Sort(names)
		name := names[rng.IntN(len(names))]
		n.Attrs[name] = mutateAttr(n.Attrs[name], rng)
		return
	}
	if len(f.Params) == 0 {
		return
	}
	p := f.Params[rng.IntN(len(f.Params))]
	if rng.IntN(8) == 0 && len(n.Operands) > 1 { // another operand in its place
		if i := rng.IntN(len(n.Operands)); n.Operands[i] != nil && n.Operands[i].Local() {
			n.Operands[i] = p
		}
		return
	}
	dims := slices.Clone(p.Type.Dims)
	switch rng.IntN(5) {
	case 0:
		all := []ir.DType{ir.F32, ir.BF16, ir.F64, ir.I32, ir.I64, ir.Bool}
		p.Type.DType = all[rng.IntN(len(all))]
	case 1:
		if len(dims) > 0 {
			i := rng.IntN(len(dims))
			dims = slices.Delete(dims, i, i+1)
		}
	case 2:
		dims = slices.Insert(dims, rng.IntN(len(dims)+1), randomDim(rng))
	case 3:
		if len(dims) > 0 {
			dims[rng.IntN(len(dims))] = randomDim(rng)
		}
	case 4:
		rng.Shuffle(len(dims), func(i, j int) { dims[i], dims[j] = dims[j], dims[i] })
	}
	p.Type.Dims = dims
}

func randomDim(rng *rand.Rand) ir.Dim {
	all := []ir.Dim{ir.Const(1), ir.Const(2), ir.Const(3), ir.Const(5), ir.Sym("B"), ir.Sym("T"), ir.Sym("B").Mul(ir.Sym("T"))}
	return all[rng.IntN(len(all))]
}

func mutateAttr(a any, rng *rand.Rand) any {
	switch x := a.(type) {
	case int64:
		return rng.Int64N(12) - 3
	case float64:
		return rng.NormFloat64()
	case bool:
		return !x
	case string:
		all := []string{"half", "interleaved", "f32", "i32", "bool", "bf16", "none"}
		return all[rng.IntN(len(all))]
	case []int64:
		x = slices.Clone(x)
		switch {
		case rng.IntN(3) == 0 && len(x) > 0:
			return x[:len(x)-1]
		case rng.IntN(2) == 0 && len(x) > 0:
			x[rng.IntN(len(x))] = rng.Int64N(5) - 1
			return x
		}
		return append(x, rng.Int64N(4))
	case []float64:
		return x[:rng.IntN(len(x)+1)]
	case []ir.Dim:
		x = slices.Clone(x)
		if len(x) > 0 && rng.IntN(2) == 0 {
			x[rng.IntN(len(x))] = randomDim(rng)
			return x
		}
		return append(x, randomDim(rng))
	}
	return a
}
