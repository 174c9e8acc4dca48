package ir_test

import (
	"strings"
	"testing"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/interp"
)

// TestClone: a copy prints the same, shares nothing that can change, and
// computes the same.
func TestClone(t *testing.T) {
	for file := range files(t) {
		m := parseFile(t, file)
		text := m.String()
		k := ir.Clone(m, nil)
		if err := ir.Verify(k); err != nil {
			t.Errorf("%s: the copy: %v", file, err)
		}
		if got := k.String(); got != text {
			t.Errorf("%s: the copy differs in %s", file, firstDifference(got, text))
		}
		scramble(k)
		if got := m.String(); got != text {
			t.Errorf("%s: changing the copy changes %s", file, firstDifference(got, text))
		}
		if err := ir.Verify(m); err != nil {
			t.Errorf("%s: changing the copy: %v", file, err)
		}
	}
}

// files are the modules in testdata.
func files(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for name := range seeds(t) {
		if strings.HasSuffix(name, ".ir") && !strings.Contains(name, "txtar") {
			all[name] = true
		}
	}
	return all
}

// scramble changes everything in a module that a copy must not share.
func scramble(m *ir.Module) {
	values := func(vs []*ir.Value) {
		for _, v := range vs {
			if v != nil {
				v.Name += ".x"
				for i := range v.Type.Dims {
					v.Type.Dims[i] = ir.Const(99)
				}
			}
		}
	}
	for _, f := range m.Funcs {
		f.Name += ".x"
		values(f.Params)
		values(f.Saved)
		for _, n := range f.Nodes {
			values(n.Results)
			for name, a := range n.Attrs {
				switch list := a.(type) {
				case []ir.Dim:
					clear(list)
				case []int64:
					clear(list)
				case []float64:
					clear(list)
				}
				delete(n.Attrs, name)
			}
			clear(n.Operands)
		}
		clear(f.Results)
		f.Nodes = f.Nodes[:0]
	}
	for _, w := range m.Weights {
		w.Name += ".x"
		w.Layers = 99
		for i := range w.Type.Dims {
			w.Type.Dims[i] = ir.Const(99)
		}
		for k := range w.Names {
			w.Names[k] = "x"
		}
	}
	for _, s := range m.State {
		s.Name += ".x"
	}
	for _, s := range m.Stacks {
		s.Segments[0].To = 99
	}
	clear(m.Dims)
}

// TestBind: a bound copy has no symbol left, and computes what the symbolic
// module does at those sizes.
func TestBind(t *testing.T) {
	for _, s := range samples(t) {
		k := ir.Clone(s.m, sizes)
		if err := ir.Verify(k); err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		if len(k.Dims) != 0 {
			t.Errorf("%s: dimensions %v are left", s.file, k.Dims)
		}
		if !s.runs(t) {
			continue
		}
		want := runSample(t, s)
		b := s
		b.m, b.f = k, k.Func(s.name)
		for i, got := range runSample(t, b) {
			if d := interp.MaxDiff(got, want[i]); d != 0 {
				t.Errorf("%s: result %d differs by %g", s.name, i, d)
			}
		}
	}
}

// TestBindPart binds one of two symbols.
func TestBindPart(t *testing.T) {
	m := parse(t, "part", `module m
dim B in [1, 8]
dim T in [1, 8]
weight $w: f32[3, T]
state !s: f32[B, T]

func @f main(%x: f32[B, T]) -> (%y) {
  %y = reshape(%x) {dims = dims[B*T]} : f32[B*T]
}
`)
	const want = `module m
dim T in [1, 8]
weight $w: f32[3, T]
state !s: f32[2, T]

func @f main(%x: f32[2, T]) -> (%y) {
  %y = reshape(%x) {dims = dims[2*T]} : f32[2*T]
}
`
	if got := ir.Clone(m, map[string]int64{"B": 2, "other": 7}).String(); got != want {
		t.Errorf("got\n%s", got)
	}
}

// TestCloneFunc copies functions of every role within their module.
func TestCloneFunc(t *testing.T) {
	m := parseFile(t, "testdata/samples/control.ir")
	before := m.String()
	for _, f := range m.Funcs {
		k := ir.CloneFunc(f, f.Name)
		if k.String() != f.String() {
			t.Errorf("the copy of @%s is\n%s", f.Name, k)
		}
		m.ReplaceFuncs(map[*ir.Func]*ir.Func{f: k})
		if m.Func(f.Name) != k {
			t.Errorf("@%s is not replaced", f.Name)
		}
	}
	if err := ir.Verify(m); err != nil {
		t.Error(err)
	}
	if m.String() != before {
		t.Error("replacing functions by their copies changes the text")
	}
}
