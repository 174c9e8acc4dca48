// Package generate makes what stands in generated/: the packages of the specs
// that the project ships with, and for those small enough to run the results
// that the interpreter gives for them. It does not make generated/testdata,
// which holds what others give for them.
package generate

import (
	"fmt"
	"path"
	"path/filepath"

	"github.com/llamac/llamac/codegen"
	"github.com/llamac/llamac/internal/compile"
	"github.com/llamac/llamac/internal/oracle"
	"github.com/llamac/llamac/runtime/model/modeltest"
	"github.com/llamac/llamac/specs"
)

// Package is one folder of generated/.
type Package struct {
	Name       string   // folder and Go package
	Spec       string   // under specs/
	Checkpoint string   // policy instead of the spec's, for twins that differ in it alone
	Set        []string // overrides of the spec's fields
	// Others get tests of their layout alone: the interpreter would take hours
	// for 7B.
	Numeric bool // small enough for the interpreter
}

// Packages lists what is checked in.
// The tiny ones cover one feature each: grouped and plain heads, every
// checkpoint policy on the same weights (twins, whose gradients must agree in
// every bit), and blocks that the library does not have.
var Packages = []Package{
	{Name: "custom_gelu", Spec: "testdata/gelu.jsonnet", Numeric: true},
	{Name: "custom_meeting", Spec: "testdata/meeting.jsonnet", Numeric: true},
	{Name: "custom_parallel", Spec: "testdata/parallel.jsonnet", Numeric: true},
	{Name: "custom_qknorm", Spec: "testdata/qknorm.jsonnet", Numeric: true},
	{Name: "gopher", Spec: "gopher.jsonnet"},
	{Name: "llama13b", Spec: "13b.jsonnet"},
	{Name: "llama33b", Spec: "33b.jsonnet"},
	{Name: "llama65b", Spec: "65b.jsonnet"},
	{Name: "llama7b", Spec: "7b.jsonnet"},
	{Name: "pocket", Spec: "testdata/pocket.jsonnet"},
	{Name: "stories260k", Spec: "stories260k.jsonnet"},
	{Name: "stories260k_short", Spec: "stories260k.jsonnet", Set: []string{"model.context=64", "train.micro_batch=4", "train.accum=1"}},
	{Name: "tiny_gqa", Spec: "tiny_gqa.jsonnet", Numeric: true},
	{Name: "tiny_gqa_auto", Spec: "tiny_gqa.jsonnet", Set: []string{"checkpoint.policy=auto", "checkpoint.budget=140000"}, Numeric: true},
	{Name: "tiny_gqa_full", Spec: "tiny_gqa.jsonnet", Checkpoint: "full", Numeric: true},
	{Name: "tiny_gqa_mask", Spec: "tiny_gqa.jsonnet", Set: []string{"data.boundary=mask"}, Numeric: true},
	{Name: "tiny_gqa_none", Spec: "tiny_gqa.jsonnet", Checkpoint: "none", Numeric: true},
	{Name: "tiny_mha", Spec: "tiny_mha.jsonnet", Numeric: true},
}

// Foreign is the folder of generated/ that no package makes: trained weights,
// and PyTorch's results for them.
const Foreign = "testdata"

// Files makes the files of a package: paths below generated/ to contents.
// root is the module's folder.
func (p Package) Files(root string) (map[string][]byte, error) {
	s, err := specs.Load(filepath.Join(root, "specs", p.Spec), specs.Options{Set: p.Set})
	if err != nil {
		return nil, err
	}
	// The name goes into headers, which must not depend on where the module was
	// checked out.
	s.File = path.Join("specs", p.Spec) // the same wherever the module lies
	o := compile.Options{Package: p.Name, Checkpoint: p.Checkpoint, Tests: codegen.LayoutTests}
	if p.Numeric {
		o.Tests = codegen.NumericTests
	}
	r, err := compile.Spec(s, o)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, f := range r.Files {
		files[path.Join(p.Name, f.Name)] = f.Data
	}
	if !p.Numeric {
		return files, nil
	}
	// Computed anew each time, never copied from a run of the generated code.
	want, err := oracle.Run(s, s.Train.MicroBatch)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	data := map[string][]float32{"grads": want.Arena(r.Plan), "loss": {float32(want.Loss)}, "logits": narrow(want.Logits)}
	for name, x := range data {
		files[path.Join(p.Name, "testdata", name+".f32")] = modeltest.EncodeF32(x)
	}
	return files, nil
}

// narrow rounds what is written to files of float32.
func narrow(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}
