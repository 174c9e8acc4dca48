package build

import (
	"fmt"
	"math"
	"strings"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/specs"
)

// Positions is the name of the value that holds the position of each token of
// a sequence: counted from 0 in training, a parameter in inference.
const Positions = "pos"

// mostRotated is sixteen times what models have.
const mostRotated = 4096

// rope rotates pairs of the last axis of x [B, heads, T, d] by position times
// frequency (Su et al. 2021). The tables of cosines and sines are made once,
// outside the layers.
// Pair i of position t turns by t·θ^(-2i/d). The layout says which two of a head's
// numbers are pair i: neighbours, or i and i + d/2.
func (c *builder) rope(n *specs.Node, x *ir.Value) *ir.Value {
	d := width(x)
	if x.Type.Rank() != 4 || d%2 != 0 {
		panic(illTyped{fmt.Errorf("input has type %s, want [B, heads, T, even d]", x.Type)})
	}
	// The frequencies are constants of the program, and every pass handles them.
	if d > mostRotated {
		width := func(path string, value int) bool {
			return path == "model.head_dim" || path == "model.dim" && c.spec.Model.Heads*d == c.spec.Model.Dim || strings.HasSuffix(path, ".out") && value > 0 && value%d == 0
		}
		panic(tooLarge{c.spec.TooLarge(width, "heads of %d channels would be rotated, more than the %d whose frequencies a program may list", d, mostRotated)})
	}
	t := x.Type.Dims[2]
	// Keys hold d: two ropes of different heads have tables of their own.
	angles := func(main *builder) *ir.Value {
		return main.invariant(fmt.Sprintf("rope.angles.%d", d), func(m *builder) *ir.Value { return m.angles(d, t) })
	}
	cos := c.invariant(fmt.Sprintf("rope.cos.%d", d), func(m *builder) *ir.Value { return m.op("cos", "rope.cos", nil, angles(m)) })
	sin := c.invariant(fmt.Sprintf("rope.sin.%d", d), func(m *builder) *ir.Value { return m.op("sin", "rope.sin", nil, angles(m)) })

	interleaved := c.spec.Model.Rope.Layout == "interleaved"
	half := int64(d / 2)
	// The same slices as ir's expansion of rope, which fuse_rope looks for.
	part := func(which int64, as string) *ir.Value {
		a := ir.Attrs{"axis": int64(3), "from": which * half, "to": (which + 1) * half}
		if interleaved {
			a["from"], a["to"], a["step"] = which, 2*half, int64(2)
		}
		return c.op("slice", n.Name+as, a, x)
	}
	mul := func(a, b *ir.Value) *ir.Value { return c.op("mul", n.Name+".m", nil, a, b) }
	a, b := part(0, ".a"), part(1, ".b")
	// (a + ib)·(cos + i sin), by its real and imaginary part.
	y0 := c.op("sub", n.Name+".y0", nil, mul(a, cos), mul(b, sin))
	y1 := c.op("add", n.Name+".y1", nil, mul(a, sin), mul(b, cos))
	if !interleaved {
		return c.op("concat", n.Name, ir.Attrs{"axis": int64(3)}, y0, y1)
	}
	dims := append(append([]ir.Dim(nil), y0.Type.Dims...), ir.Const(1))
	pair := func(y *ir.Value) *ir.Value { return c.op("reshape", y.Name+".1", ir.Attrs{"dims": dims}, y) }
	y := c.op("concat", n.Name+".pairs", ir.Attrs{"axis": int64(4)}, pair(y0), pair(y1))
	return c.op("reshape", n.Name, ir.Attrs{"dims": x.Type.Dims}, y)
}

// angles is position times frequency, [T, d/2]. Positions are those in the
// sequence even where documents are masked from each other: only differences of
// positions reach the scores, and a document's are the same wherever it lies.
func (c *builder) angles(d int, t ir.Dim) *ir.Value {
	pos := c.invariant(Positions, func(m *builder) *ir.Value {
		return m.op("iota", Positions, ir.Attrs{"dims": []ir.Dim{t}})
	})
	p := c.op("cast", "rope.pos", ir.Attrs{"dtype": "f32"}, pos)
	p = c.op("reshape", "rope.rows", ir.Attrs{"dims": []ir.Dim{t, ir.Const(1)}}, p)
	f := c.op("const", "rope.freq", ir.Attrs{"values": Frequencies(c.spec.Model.Rope, d), "shape": []int64{1, int64(d / 2)}})
	return c.op("mul", "rope.angles", nil, p, f)
}

// Frequencies gives the d/2 angular frequencies theta^(-2i/d), stretched as
// the spec's scaling says.
// theta is 10000 in LLaMA 1 and 2. Computed in float64 and rounded to the
// constant's type once.
func Frequencies(r specs.Rope, d int) []float64 {
	f := make([]float64, d/2)
	for i := range f {
		f[i] = math.Pow(r.Theta, -2*float64(i)/float64(d))
		switch s := r.Scaling; s.Kind {
		// Position interpolation (Chen et al. 2023): positions shrink by the factor.
		case "linear":
			f[i] /= s.Factor
		case "llama3":
			f[i] = llama3(f[i], s)
		}
	}
	return f
}

// llama3 leaves wavelengths well inside the original context alone, divides
// those beyond it by the factor, and blends in between (the rule of Llama
// 3.1's published configuration).
func llama3(f float64, s specs.RopeScaling) float64 {
	wavelength := 2 * math.Pi / f
	context := float64(s.OriginalContext)
	switch {
	case wavelength < context/s.HighFreqFactor:
		return f
	case wavelength > context/s.LowFreqFactor:
		return f / s.Factor
	}
	// 0 at the long end, where the divided frequency rules, and 1 at the short.
	smooth := (context/wavelength - s.LowFreqFactor) / (s.HighFreqFactor - s.LowFreqFactor)
	return (1-smooth)*f/s.Factor + smooth*f
}
