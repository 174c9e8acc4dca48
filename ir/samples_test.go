package ir_test

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/interp"
)

// A sample is one well-typed use of an op: a function of a file in
// testdata/samples, named after the op and the variant.
type sample struct {
	op, name string
	file     string
	m        *ir.Module
	f        *ir.Func
}

// sizes are the dimensions of the samples: odd, and all different.
var sizes = map[string]int64{"B": 2, "T": 5, "S": 2, "blocks": 6}

// samples reads all samples. Each call gives modules of their own.
func samples(t testing.TB) []sample {
	t.Helper()
	files, err := filepath.Glob("testdata/samples/*.ir")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	var all []sample
	for _, file := range files {
		m := parseFile(t, file)
		for _, f := range m.Funcs {
			if f.Role == ir.RoleMain {
				op, _, _ := strings.Cut(f.Name, ".")
				all = append(all, sample{op, f.Name, file, m, f})
			}
		}
	}
	return all
}

func parseFile(t testing.TB, file string) *ir.Module {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, file, string(src))
}

// parse reads a module that must parse and verify.
func parse(t testing.TB, file, src string) *ir.Module {
	t.Helper()
	m, err := ir.Parse(file, []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	if err := ir.Verify(m); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return m
}

// node is the sample's node: the one with its op.
func (s sample) node(t testing.TB) *ir.Node {
	t.Helper()
	for _, n := range s.f.Nodes {
		if n.Op.Name == s.op {
			return n
		}
	}
	t.Fatalf("%s: @%s has no node %s", s.file, s.name, s.op)
	return nil
}

// runs reports whether the interpreter can run a sample: it is one device.
func (s sample) runs(t testing.TB) bool {
	n := s.node(t)
	return n.Op.Group != ir.Collective || n.Int("ways") == 1
}

// newRNG is a generator seeded by a name, so that a case's numbers do not
// depend on the cases before it.
func newRNG(name string) *rand.Rand {
	var h uint64 = 14695981039346656037
	for _, c := range []byte(name) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return rand.New(rand.NewPCG(h, 1))
}

// machine makes a machine with random weights and state for a module.
func machine(m *ir.Module, rng *rand.Rand) *interp.Machine {
	x := interp.NewMachine(sizes)
	x.InitWeights(m, rng)
	x.First = true
	x.Hyper = interp.Hyper{Step: 1, LR: 0.1, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.1, Clip: 1}
	return x
}

// arguments makes random arguments for the parameters of a function.
func arguments(f *ir.Func, rng *rand.Rand) []*interp.Tensor {
	var args []*interp.Tensor
	for _, p := range f.Params {
		args = append(args, fill(p, rng))
	}
	return args
}

// fill makes a random argument that the parameter's name allows:
//
//	positive  floats of at least 0.1
//	nonzero   numbers of size at least 0.1, or integers other than 0
//	natural   integers 0 to 3
//	ids       rows of a table of 5 rows or more, with repetitions
//	targets   -1 (not counted) to 4
//	start     0 or 1
//	starts    keys 0 to 4
//	pos, seq  tokens 3, 4 of sequence 0 and 0, 1, 2 of sequence 1
//	blocks    a table of 6 cache blocks, each used once
//
// Other floats are normal, other integers from -3 to 3.
func fill(p *ir.Value, rng *rand.Rand) *interp.Tensor {
	t := p.Type.Bind(sizes)
	dims := make([]int, len(t.Dims))
	for i, d := range t.Dims {
		dims[i] = int(d.N)
	}
	x := interp.New(t.DType, dims...)
	shift, below, list := int64(-3), int64(7), []int64(nil)
	switch p.Name {
	case "natural":
		shift, below = 0, 4
	case "ids", "starts":
		shift, below = 0, 5
	case "targets":
		shift, below = -1, 6
	case "start":
		shift, below = 0, 2
	case "pos":
		list = []int64{3, 0, 4, 1, 2}
	case "seq":
		list = []int64{0, 1, 0, 1, 1}
	case "blocks":
		list = []int64{4, 0, 5, 2, 1, 3}
	}
	x.RandomBelow(rng, below)
	for i := range x.F {
		size := math.Abs(x.F[i])
		switch p.Name {
		case "positive":
			x.F[i] = 0.1 + size
		case "nonzero":
			x.F[i] = math.Copysign(0.1+size, x.F[i])
		}
	}
	for i := range x.I {
		x.I[i] += shift
		if p.Name == "nonzero" && x.I[i] == 0 {
			x.I[i] = 2
		}
		if list != nil {
			x.I[i] = list[i%len(list)]
		}
	}
	if p.Name == "start" {
		x.I[0] = 1
	}
	return x
}

// runSample runs a sample on its random arguments, which it must leave alone.
func runSample(t testing.TB, s sample) []*interp.Tensor {
	t.Helper()
	rng := newRNG(s.name)
	m := machine(s.m, rng)
	args := arguments(s.f, rng)
	var before []*interp.Tensor
	for _, a := range args {
		before = append(before, a.Clone())
	}
	out, err := m.Run(s.m, s.name, args...)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range args {
		if d := interp.MaxDiff(a, before[i]); d != 0 {
			t.Errorf("%s changes %s by %g", s.name, s.f.Params[i], d)
		}
	}
	return out
}
