package ir_test

import (
	"testing"

	"github.com/llamac/llamac/ir"
)

// TestDim checks products and quotients of dimensions against the numbers that
// they stand for.
func TestDim(t *testing.T) {
	values := map[string]int64{"B": 3, "T": 5, "S": 7}
	rng := newRNG("dims")
	random := func() ir.Dim {
		d := ir.Const(1 + rng.Int64N(6))
		for _, s := range []string{"B", "T", "S", "B"} {
			if rng.IntN(3) == 0 {
				d = d.Mul(ir.Sym(s))
			}
		}
		return d
	}
	number := func(d ir.Dim) int64 {
		b := d.Bind(values)
		if !b.IsConst() {
			t.Fatalf("%s binds to %s", d, b)
		}
		return b.N
	}
	for range 2000 {
		d, e := random(), random()
		p := d.Mul(e)
		if p != e.Mul(d) || number(p) != number(d)*number(e) {
			t.Errorf("%s · %s = %s", d, e, p)
		}
		if q, ok := p.Div(e); !ok || q != d {
			t.Errorf("%s / %s = %s, %v", p, e, q, ok)
		}
		if q, ok := d.Div(e); ok && q.Mul(e) != d {
			t.Errorf("%s / %s = %s", d, e, q)
		}
		if d.Is(3) != (d == ir.Const(3)) || d.IsConst() != (d.Sym == "") {
			t.Errorf("%s: Is(3) %v, IsConst %v", d, d.Is(3), d.IsConst())
		}
		part := d.Bind(map[string]int64{"T": 5}).Bind(values)
		if part.N != number(d) {
			t.Errorf("%s bound in two steps is %s", d, part)
		}
	}
	for _, c := range []struct{ d, e ir.Dim }{
		{ir.Const(7), ir.Const(2)}, {ir.Const(7), ir.Const(0)}, {ir.Sym("B"), ir.Sym("T")},
		{ir.Sym("B"), ir.Sym("B").Mul(ir.Sym("B"))}, {ir.Const(4), ir.Sym("B")},
	} {
		if q, ok := c.d.Div(c.e); ok {
			t.Errorf("%s / %s = %s", c.d, c.e, q)
		}
	}
}

// TestBytes: blocks of GGUF's types have their published sizes.
func TestBytes(t *testing.T) {
	for _, c := range []struct {
		d    ir.DType
		name string
		of   int64 // elements
		want int64
	}{
		{ir.F32, "f32", 256, 1024}, {ir.BF16, "bf16", 256, 512}, {ir.F16, "f16", 256, 512}, {ir.F64, "f64", 256, 2048},
		{ir.I8, "i8", 256, 256}, {ir.I32, "i32", 256, 1024}, {ir.I64, "i64", 256, 2048}, {ir.Bool, "bool", 256, 256},
		{ir.Q8_0, "q8_0", 256, 272}, {ir.Q4_0, "q4_0", 256, 144}, {ir.Q4_K, "q4_k", 256, 144}, {ir.Q6_K, "q6_k", 256, 210},
	} {
		if got := c.d.Bytes(c.of); got != c.want {
			t.Errorf("%d elements of %s have %d bytes, want %d", c.of, c.d, got, c.want)
		}
		if d, ok := ir.ParseDType(c.name); !ok || d != c.d {
			t.Errorf("ParseDType(%q) = %s, %v", c.name, d, ok)
		}
	}
	if d, ok := ir.ParseDType("invalid"); ok {
		t.Errorf(`ParseDType("invalid") = %s`, d)
	}
}

// TestCosts checks the work of nodes against formulas of the papers: a matrix
// product is 2mnk, attention 4·B·T²·heads·d and half of it when causal, its
// backward five products for the forward's two.
func TestCosts(t *testing.T) {
	m := parse(t, "costs", `module costs
weight $w: f32[7, 5]
weight $v: f32[5, 5] of layers[3]
stack layers [0, 1) @l @l.bwd [1, 3) @m @m.bwd

func @l layer(%x: f32[2, 3, 5]) -> (%y) {
  %y = linear(%x, $v) : f32[2, 3, 5]
}

func @m layer(%x: f32[2, 3, 5]) -> (%x) {
}

func @l.bwd backward(%x: f32[2, 3, 5]) -> (%x) {
}

func @m.bwd backward(%x: f32[2, 3, 5]) -> (%y) {
  %y = neg(%x) : f32[2, 3, 5]
}

func @linear main(%x: f32[2, 3, 5]) -> (%y) {
  %y = linear(%x, $w) : f32[2, 3, 7]
}

func @pack main(%x: f32[2, 3, 5]) -> (%y) {
  %y, %z = linear_pack(%x, $w, $w) : f32[2, 3, 7], f32[2, 3, 7]
}

func @grad_x main(%d: f32[2, 3, 7]) -> (%y) {
  %y = linear_grad_x(%d, $w) : f32[2, 3, 5]
}

func @grad_w main(%d: f32[2, 3, 7], %x: f32[2, 3, 5]) -> (%y) {
  %y = linear_grad_w(%d, %x) : f32[7, 5]
}

func @matmul main(%a: f32[2, 5, 3], %b: f32[2, 7, 5]) -> (%y) {
  %y = matmul(%a, %b) {trans_a = true, trans_b = true} : f32[2, 3, 7]
}

func @causal main(%q: f32[2, 6, 4, 8], %k: f32[2, 6, 2, 8]) -> (%o) {
  %o, %l = attention(%q, %k, %k) {scale = 1.0} : f32[2, 6, 4, 8], f32[2, 4, 6]
}

func @full main(%q: f32[2, 6, 4, 8], %k: f32[2, 6, 2, 8]) -> (%o) {
  %o, %l = attention(%q, %k, %k) {causal = false, scale = 1.0} : f32[2, 6, 4, 8], f32[2, 4, 6]
}

func @causal_grad main(%q: f32[2, 6, 4, 8], %k: f32[2, 6, 2, 8], %l: f32[2, 4, 6]) -> (%a) {
  %a, %b, %c = attention_grad(%q, %q, %l, %q, %k, %k) {scale = 1.0} : f32[2, 6, 4, 8], f32[2, 6, 2, 8], f32[2, 6, 2, 8]
}

func @view main(%x: f32[2, 3]) -> (%y) {
  %y = reshape(%x) {dims = dims[6]} : f32[6]
}

func @transpose main(%x: f32[2, 3]) -> (%y) {
  %y = transpose(%x) {perm = [1, 0]} : f32[3, 2]
}

func @bytes main(%x: bf16[2, 3], %i: i64[4]) -> (%y) {
  %y = gather(%x, %i) : bf16[4, 3]
}

func @stack main(%x: f32[2, 3, 5]) -> (%y) {
  %y = stack(%x) {name = "layers"} : f32[2, 3, 5]
}

func @stack_grad main(%x: f32[2, 3, 5]) -> (%y) {
  %y = stack_grad(%x) {name = "layers"} : f32[2, 3, 5]
}
`)
	for name, want := range map[string]ir.Cost{
		"linear":      {FLOPs: 2 * 6 * 5 * 7, Bytes: 4 * (30 + 35 + 42)},
		"pack":        {FLOPs: 4 * 6 * 5 * 7, Bytes: 4 * (30 + 70 + 84)},
		"grad_x":      {FLOPs: 2 * 6 * 5 * 7, Bytes: 4 * (42 + 35 + 30)},
		"grad_w":      {FLOPs: 2 * 6 * 5 * 7, Bytes: 4 * (42 + 30 + 35)},
		"matmul":      {FLOPs: 2 * 2 * 3 * 5 * 7, Bytes: 4 * (30 + 70 + 42)},
		"full":        {FLOPs: 4 * 2 * 36 * 4 * 8, Bytes: 4 * (2*384 + 2*192 + 48)},
		"causal":      {FLOPs: 2 * 2 * 36 * 4 * 8, Bytes: 4 * (2*384 + 2*192 + 48)},
		"causal_grad": {FLOPs: 5 * 2 * 36 * 4 * 8, Bytes: 4 * (3*384 + 2*192 + 48 + 384 + 2*192)},
		"view":        {},
		"transpose":   {FLOPs: 0, Bytes: 4 * 12},
		"bytes":       {FLOPs: 0, Bytes: 2*6 + 8*4 + 2*12},
		"stack":       {FLOPs: 2 * 6 * 5 * 5, Bytes: 4 * (30 + 25 + 30)}, // one layer of three
		"stack_grad":  {FLOPs: 2 * 30, Bytes: 2 * 4 * (30 + 30)},         // two
	} {
		if got := ir.FuncCost(m, m.Func(name), ir.NodeCost); got != want {
			t.Errorf("@%s costs %+v, want %+v", name, got, want)
		}
	}
}
