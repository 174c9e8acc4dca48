package generate

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llamac/llamac/internal/compile"
	"github.com/llamac/llamac/internal/oracle"
	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/runtime/model/modeltest"
	"github.com/llamac/llamac/specs"
)

// optional lists the passes that --disable-pass takes.
func optional() []string {
	var names []string
	for _, pipeline := range [][]passes.Pass{passes.Train, passes.Infer} {
		for _, p := range pipeline {
			if !p.Required && !slices.Contains(names, p.Name) {
				names = append(names, p.Name)
			}
		}
	}
	return names
}

// TestDisabledPasses generates the twin with each optional pass left out, and
// with none of them run, and holds the generated code to the oracle: no pass
// may be needed for right results.
//
// The packages exist only in an overlay of this module's files, so that they
// are built on its own runtime; one test binary has the checks of all.
func TestDisabledPasses(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("go not found")
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	type twin struct {
		*specs.Spec
		want *oracle.Result
	}
	load := func(set ...string) twin {
		s, err := specs.Load(filepath.Join(root, "specs", "tiny_gqa.jsonnet"), specs.Options{Set: set})
		if err != nil {
			t.Fatal(err)
		}
		want, err := oracle.Run(s, s.Train.MicroBatch)
		if err != nil {
			t.Fatal(err)
		}
		return twin{s, want}
	}
	plain, masked := load(), load("data.boundary=mask")
	dir := t.TempDir()
	overlay := map[string]string{}
	write := func(name string, data []byte) string {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	type without struct {
		twin
		disable []string
	}
	cases := map[string]without{"all": {plain, optional()}, "all_masked": {masked, optional()}}
	for _, p := range optional() {
		cases[p] = without{plain, []string{p}}
	}
	for _, p := range []string{"canonicalize", "fuse_attention"} { // those that know masks
		cases[p+"_masked"] = without{masked, []string{p}}
	}
	var imports, checks []string
	for name, c := range cases {
		disable, want := c.disable, c.want
		pkg := "without_" + name
		o := compile.Options{Package: pkg, Disable: disable}
		decodes := !slices.Contains(disable, "fuse_attention")
		if !decodes {
			o.Modes = []string{"train"} // the cache of keys and values belongs to attention
		}
		r, err := compile.Spec(c.Spec, o)
		if err != nil {
			t.Fatalf("without %s: %v", name, err)
		}
		for _, f := range r.Files {
			overlay[filepath.Join(root, "generated", pkg, f.Name)] = write(pkg+"/"+f.Name, f.Data)
		}
		write(pkg+"/testdata/grads.f32", modeltest.EncodeF32(want.Arena(r.Plan)))
		write(pkg+"/testdata/loss.f32", modeltest.EncodeF32([]float32{float32(want.Loss)}))
		write(pkg+"/testdata/logits.f32", modeltest.EncodeF32(narrow(want.Logits)))
		imports = append(imports, fmt.Sprintf("%q", compile.Module+"/generated/"+pkg))
		checks = append(checks, fmt.Sprintf("check(t, %q, &%s.Info, %v)", pkg, pkg, decodes))
	}
	slices.Sort(checks)
	overlay[filepath.Join(root, "generated", "without", "without_test.go")] = write("without_test.go", []byte(fmt.Sprintf(checker, strings.Join(imports, "\n"), strings.Join(checks, "\n"))))
	b, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "without.test.exe")
	build := exec.Command("go", "test", "-c", "-vet=off", "-overlay", write("overlay.json", b), "-o", bin, compile.Module+"/generated/without")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := exec.Command(bin, "-test.v")
	run.Dir = dir
	out, err := run.CombinedOutput()
	if got := strings.Count(string(out), "--- PASS: Test/without_"); err != nil || got != len(cases) {
		t.Errorf("%d packages of %d are right: %v\n%s", got, len(cases), err, out)
	}
}

// checker runs the checks that generated tests make, each in the folder of its
// results.
const checker = `package without

import (
	"testing"

	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/runtime/model/modeltest"
	%s
)

func check(t *testing.T, dir string, info *model.Info, decodes bool) {
	t.Run(dir, func(t *testing.T) {
		t.Chdir(dir)
		modeltest.CheckLayout(t, info)
		modeltest.CheckTrainer(t, info)
		if decodes {
			modeltest.CheckDecoder(t, info)
		}
	})
}

func Test(t *testing.T) {
	%s
}
`
