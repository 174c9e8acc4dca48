package fuzz

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/specs"
)

// insert plants one more pass into a pipeline behind a named one.
func insert(pipeline []passes.Pass, behind string, p passes.Pass) []passes.Pass {
	at := slices.IndexFunc(pipeline, func(p passes.Pass) bool { return p.Name == behind }) + 1
	return slices.Insert(slices.Clone(pipeline), at, p)
}

// nodeOf is the first node with an op in any function, or nil.
func nodeOf(m *ir.Module, op string) *ir.Node {
	for _, f := range m.Funcs {
		for _, n := range f.Nodes {
			if n.Op.Name == op {
				return n
			}
		}
	}
	return nil
}

// addAll makes the first gradients of a step add to what the last step left.
func addAll(p *plan.Plan) {
	p.Program("micro_step").Walk(func(it plan.Item) {
		if l, ok := it.(*plan.Launch); ok {
			for i := range l.Results {
				if l.Results[i].Mode == plan.OverwriteFirst {
					l.Results[i].Mode = plan.Accumulate
				}
			}
		}
	})
}

func loadSmall(t *testing.T, file string, set ...string) *Case {
	t.Helper()
	file = filepath.Join("..", "..", "specs", file)
	s, err := specs.Load(file, specs.Options{Set: set})
	if err != nil {
		t.Fatal(err)
	}
	for _, scale := range Scales(s) {
		if small, err := specs.Load(file, specs.Options{Set: slices.Concat(set, scale)}); err == nil {
			s = small
			break
		}
	}
	c, err := FromSpec(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestBisect plants passes that are wrong in one way each: the search names
// them, and gives the module before and after.
func TestBisect(t *testing.T) {
	for _, c := range []struct {
		name, mode, behind string
		run                func(*passes.Unit)
		pass, why          string // that are found
	}{
		{"changes an epsilon", "train", "fuse_swiglu", func(u *passes.Unit) {
			nodeOf(u.Module, "rms_norm").Attrs["eps"] = 0.5
		}, "planted", "loss"},
		{"drops a gradient", "train", "differentiate", func(u *passes.Unit) {
			f := u.Module.Func("micro_step")
			f.Nodes = slices.DeleteFunc(f.Nodes, func(n *ir.Node) bool { return n.Op.Name == "grad_add" })
		}, "planted", "no gradient"},
		{"swaps keys and values", "infer", "fuse_attention", func(u *passes.Unit) {
			n := nodeOf(u.Module, "attention")
			n.Operands[1], n.Operands[2] = n.Operands[2], n.Operands[1]
		}, "planted", "logits differ"},
		{"panics", "train", "cleanup", func(u *passes.Unit) {
			nodeOf(u.Module, "no_such_op").Results = nil
		}, "planted", "nil pointer"},
		{"spoils the plan", "train", "schedule", func(u *passes.Unit) {
			addAll(u.Plan)
		}, "planted", "its plan does not"},
		{"spoils the decoder's plan", "infer", "schedule", func(u *passes.Unit) {
			for _, it := range u.Plan.Program("decode").Items {
				if x, ok := it.(*plan.Loop); ok {
					x.Reverse = true
				}
			}
		}, "planted", "its plan does not"},
		{"spoils the plans of auto", "train", "schedule", func(u *passes.Unit) {
			if u.Config.Checkpoint == "auto" {
				addAll(u.Plan)
			}
		}, "planted", "its plan does not"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := NewChecker()
			defer k.Device.Close()
			p := passes.Pass{Name: "planted", Run: func(u *passes.Unit) error { c.run(u); return nil }}
			if c.mode == "train" {
				k.Train = insert(k.Train, c.behind, p)
			} else {
				k.Infer = insert(k.Infer, c.behind, p)
			}
			found, err := k.Bisect(loadSmall(t, "tiny_gqa.jsonnet"))
			if err != nil || found == nil {
				t.Fatalf("found %v, %v", found, err)
			}
			if found.Mode != c.mode || found.Pass != c.pass || !strings.Contains(found.Err.Error(), c.why) {
				t.Errorf("found %v, want pass %s: ... %s", found, c.pass, c.why)
			}
			if _, err := ir.Parse("before", []byte(found.Before)); err != nil || found.After == "" {
				t.Errorf("the module before the pass: %v\n%s", err, found.Before)
			}
		})
	}
}

// TestBisectNarrow: a spec that computes in 16 bits is compiled for them, so that
// what goes wrong then only is found, and its case says so when it is read back.
func TestBisectNarrow(t *testing.T) {
	k := NewChecker()
	defer k.Device.Close()
	k.Train = insert(k.Train, "precision", passes.Pass{Name: "planted", Run: func(u *passes.Unit) error {
		if u.Config.Compute == "bf16" {
			nodeOf(u.Module, "rms_norm").Attrs["eps"] = 0.5
		}
		return nil
	}})
	c := loadSmall(t, "tiny_gqa.jsonnet", "precision.compute=bf16")
	c, err := ParseCase("case", c.Format("in 16 bits"))
	if err != nil {
		t.Fatal(err)
	}
	if found, err := k.Bisect(c); err != nil || found == nil || found.Pass != "planted" {
		t.Errorf("found %v, %v", found, err)
	}
	c.Compute = ""
	if found, err := k.Bisect(c); err != nil || found != nil {
		t.Errorf("in 32 bits: found %v, %v", found, err)
	}
}

// TestBisectRight: nothing is to be found in models as they are.
func TestBisectRight(t *testing.T) {
	k := NewChecker()
	defer k.Device.Close()
	for _, file := range []string{"tiny_gqa.jsonnet", "7b.jsonnet", "testdata/qknorm.jsonnet", "testdata/meeting.jsonnet"} {
		if found, err := k.Bisect(loadSmall(t, file)); found != nil || err != nil {
			t.Errorf("%s: %v, %v", file, found, err)
		}
	}
}

// TestBisectPlanner: where no pass over the graph is to blame, what lowers it
// is.
func TestBisectPlanner(t *testing.T) {
	k := NewChecker()
	defer k.Device.Close()
	k.Train = insert(k.Train, "schedule", passes.Pass{Name: "planted", Required: true, Run: func(u *passes.Unit) error {
		for _, it := range u.Plan.Program("eval").Items {
			if x, ok := it.(*plan.Loop); ok {
				x.To = x.From + 1
			}
		}
		return nil
	}})
	found, err := k.Bisect(loadSmall(t, "tiny_mha.jsonnet"))
	if err != nil || found == nil || found.Pass != behind || !strings.Contains(found.Err.Error(), "eval") {
		t.Errorf("found %v, %v", found, err)
	}
}

// breakTanh is a pass that makes every tanh a sine.
var breakTanh = passes.Pass{Name: "planted", Run: func(u *passes.Unit) error {
	for _, f := range u.Module.Funcs {
		for _, n := range f.Nodes {
			if n.Op.Name == "tanh" {
				n.Op = ir.Lookup("sin")
			}
		}
	}
	return nil
}}
