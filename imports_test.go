package llamac_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// allowed says which of the module's packages each may import, test files
// aside: the compiler's stages in one direction, and the runtime nothing of
// the compiler. "/..." stands for a folder and all below.
var allowed = map[string][]string{
	".":                       {},
	"specs/...":               {"specs/...", "internal/diag", "runtime/model"},
	"ir":                      {"internal/diag", "internal/scan"},
	"ir/build":                {"ir", "specs", "internal/diag", "runtime/model"},
	"ir/interp":               {"ir"},
	"plan":                    {"ir", "internal/scan"},
	"passes":                  {"ir", "ir/interp", "plan"},
	"exec":                    {"ir", "plan", "runtime/cpu", "runtime/kv", "runtime/model"},
	"codegen":                 {"ir", "plan", "specs"},
	"codegen/golang":          {"codegen", "ir", "plan", "internal/architecture", "internal/diag", "runtime/model"},
	"internal/architecture":   {"runtime/model", "specs"},
	"internal/diag":           {},
	"internal/scan":           {"internal/diag"},
	"internal/fuzz":           {"exec", "internal/diag", "internal/spelling", "ir", "ir/build", "ir/interp", "passes", "plan", "runtime/cpu", "runtime/model", "specs"},
	"internal/raster":         {"runtime/plot"},
	"internal/fuzz/run":       {"internal/fuzz"},
	"internal/fuzz/sample":    {"runtime/model"},
	"internal/planted":        {},
	"internal/testreport":     {},
	"internal/normgen":        {},
	"internal/spelling":       {"ir"},
	"internal/lossfell":       {},
	"internal/scango":         {},
	"internal/budgets":        {"codegen", "internal/compile", "internal/gobuild", "specs"},
	"internal/compile":        {"internal/diag", "specs", "ir", "ir/build", "passes", "plan", "codegen", "codegen/golang"},
	"internal/gobuild":        {".", "codegen"},
	"internal/oracle":         {"specs", "ir", "ir/build", "ir/interp", "passes", "plan", "runtime/model", "runtime/model/modeltest"},
	"internal/corpus":         {"specs", "data", "data/prepare", "tokenizer", "internal/diag", "internal/gobuild"},
	"internal/generate":       {"specs", "codegen", "internal/compile", "internal/oracle", "runtime/model/modeltest"},
	"internal/inspect":        {"specs", "ir", "ir/build", "passes", "plan", "internal/compile", "internal/diag"},
	"internal/generate/run":   {"internal/generate", "internal/gobuild"},
	"cmd/llamac":              {"specs", "passes", "plan", "internal/...", "tokenizer", "data/...", "weights", "runtime/console", "runtime/cpu", "runtime/plot"},
	"generated/...":           {"runtime/...", "tokenizer", "weights"},
	"data":                    {},
	"data/prepare":            {"data"},
	"tokenizer/...":           {"tokenizer", "runtime/filekind", "runtime/gguf"},
	"weights":                 {"runtime/console", "runtime/filekind", "runtime/gguf", "runtime/model", "runtime/rng", "tokenizer"},
	"runtime/cpu/...":         {"runtime/cpu/..."},
	"runtime/console":         {},
	"runtime/model":           {},
	"runtime/model/modeltest": {"runtime/model"},
	"runtime/filekind":        {},
	"runtime/gguf":            {},
	"runtime/kv":              {},
	"runtime/rng":             {},
	"runtime/sample":          {"runtime/rng"},
	"runtime/schedule":        {},
	"runtime/plot":            {},
	"runtime/app":             {"runtime/...", "tokenizer", "data", "weights"},
}

// linked are the packages that a generated binary consists of: they import the
// standard library and each other alone.
var linked = []string{"runtime/app", "runtime/console", "runtime/cpu", "runtime/filekind", "runtime/gguf", "runtime/kv", "runtime/model", "runtime/plot", "runtime/rng", "runtime/sample", "runtime/schedule", "tokenizer", "data", "weights"}

type goPackage struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

func TestImports(t *testing.T) {
	const module = "github.com/llamac/llamac"
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := local(p.ImportPath, module)
		rules, ok := rulesOf(name)
		if !ok {
			t.Errorf("%s has no line in imports_test.go: say what it may import", name)
			continue
		}
		for _, imp := range p.Imports {
			if imp != module && !strings.HasPrefix(imp, module+"/") {
				if slices.Contains(linked, name) && strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
					t.Errorf("%s is linked into generated binaries and imports %s: the standard library alone", name, imp)
				}
				continue
			}
			if to := local(imp, module); !slices.ContainsFunc(rules, func(r string) bool { return covers(r, to) }) {
				t.Errorf("%s imports %s, against the direction of the house", name, to)
			}
		}
	}
}

func local(imp, module string) string {
	if imp == module {
		return "."
	}
	return strings.TrimPrefix(imp, module+"/")
}

func rulesOf(name string) ([]string, bool) {
	if r, ok := allowed[name]; ok {
		return r, true
	}
	for dir := name; dir != "."; dir = path.Dir(dir) {
		if r, ok := allowed[dir+"/..."]; ok {
			return r, true
		}
	}
	return nil, false
}

func covers(rule, name string) bool {
	if dir, ok := strings.CutSuffix(rule, "/..."); ok {
		return name == dir || strings.HasPrefix(name, dir+"/")
	}
	return rule == name
}
