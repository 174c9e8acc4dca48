package specs

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

// tiny is a complete spec, with a hole for more fields.
const tiny = `local twin = import 'llamac/twin.libsonnet';
twin { name: 'tiny', %s }
`

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// A spec loads in any folder, with imports relative to the file that holds
// them and the library from inside the program.
func TestLoadFromDisk(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write(t, "a/b/mine.jsonnet", "(import '../common.libsonnet') { name: 'mine' }\n")
	write(t, "a/common.libsonnet", "local w = import 'widths/small.libsonnet';\nlocal twin = import 'llamac/twin.libsonnet';\ntwin { model+: w, doc: importstr 'doc.txt' }\n")
	write(t, "a/widths/small.libsonnet", "{ ffn_dim: 17 }\n")
	write(t, "a/doc.txt", "Words.")
	// A folder that shadows the library's name is not looked at.
	write(t, "a/llamac/twin.libsonnet", "error 'shadow'\n")
	for _, path := range []string{filepath.Join("a", "b", "mine.jsonnet"), filepath.Join(dir, "a", "b", "mine.jsonnet")} {
		s, err := Load(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if s.Model.FFNDim != 17 || s.Doc != "Words." || s.File != path {
			t.Errorf("ffn_dim %d, doc %q, file %q", s.Model.FFNDim, s.Doc, s.File)
		}
		want := filepath.Join(filepath.Dir(path), "..", "widths", "small.libsonnet")
		if p := s.Pos("model.ffn_dim"); p.File != want || p.Line != 1 || p.Col != 12 {
			t.Errorf("ffn_dim is set at %v, want %s:1:12", p, want)
		}
	}
}

// What is no regular file of sane size is refused, and not read.
func TestUnreadable(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "big.libsonnet", strings.Repeat(" ", maxFile)+"{}")
	write(t, "dir/x", "")
	for name, code := range map[string]string{
		"big":      `import 'big.libsonnet'`,
		"dir":      `import 'dir'`,
		"reserved": `import '<llamac>/llama.libsonnet'`,
		"parent":   `import 'llamac/../../go.mod'`,
	} {
		write(t, name+".jsonnet", code)
	}
	want := map[string]string{
		"big.jsonnet":      "big.jsonnet:1:1: cannot import 'big.libsonnet': has 1048578 bytes, and a file of a spec may have 1048576",
		"dir.jsonnet":      "dir.jsonnet:1:1: cannot import 'dir': is a folder",
		"reserved.jsonnet": "reserved.jsonnet:1:1: cannot import '<llamac>/llama.libsonnet': the name is reserved for llamac's own library",
		"parent.jsonnet":   "parent.jsonnet:1:1: cannot import 'llamac/../../go.mod': llamac's library has no ../../go.mod",
		"dir":              "dir: is a folder",
		"nowhere.jsonnet":  "nowhere.jsonnet: no such file",
	}
	if err := os.Symlink("/dev/zero", "zero.jsonnet"); err == nil {
		if _, err := os.Stat("zero.jsonnet"); err == nil {
			want["zero.jsonnet"] = "zero.jsonnet: is not a regular file"
		}
	}
	for path, msg := range want {
		_, err := Load(path, Options{})
		if err == nil || err.Error() != msg {
			t.Errorf("%s: got %v, want %s", path, err, msg)
		}
	}
}

func loadText(t *testing.T, text string, set ...string) *Spec {
	t.Helper()
	s, err := Load("x.jsonnet", Options{FS: fstest.MapFS{"x.jsonnet": {Data: []byte(text)}}, Set: set})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Overrides go into the evaluation: what is computed from a field follows it.
func TestSet(t *testing.T) {
	text := strings.Replace(tiny, "%s", "train+: { accum: 2 * self.micro_batch }", 1)
	plain := loadText(t, text)
	s := loadText(t, text,
		"model.dim=64", "train.micro_batch=4", "train.micro_batch=5", "optim.lr=2.5e-4", "checkpoint.policy=full",
		"train.sample.prompt=func main() {", `doc="quoted"`, `model.rope={"theta":5e5,"layout":"half","scaling":{"kind":"linear","factor":2}}`,
		"model.tie=true", "model.residual_std=0.5")
	switch {
	case s.Model.Block[1].Out != 64, s.Model.HeadDim != 16:
		t.Errorf("the block does not follow model.dim: %+v", s.Model.Block[1])
	case s.Train.MicroBatch != 5, s.Train.Accum != 10:
		t.Errorf("train is %+v", s.Train)
	case s.Optim.LR != 2.5e-4, s.Checkpoint.Policy != "full", s.Train.Sample.Prompt != "func main() {", s.Doc != "quoted":
		t.Errorf("optim %+v, checkpoint %+v, prompt %q, doc %q", s.Optim, s.Checkpoint, s.Train.Sample.Prompt, s.Doc)
	case s.Model.Rope != Rope{5e5, "half", RopeScaling{Kind: "linear", Factor: 2}}:
		t.Errorf("rope is %+v", s.Model.Rope)
	case s.Model.Network[3].Weight != "tok_embeddings":
		t.Errorf("the network does not follow model.tie: %+v", s.Model.Network[3])
	}
	for _, n := range s.Model.Block {
		if n.Weight == "attention.wo" && n.Std != 0.5 {
			t.Errorf("a hidden field is not overridden: wo has deviation %v", n.Std)
		}
	}
	if s.Hash == plain.Hash || plain.Hash != loadText(t, text).Hash {
		t.Error("the hash must follow the document and nothing else")
	}
	if got := s.Pos("model.dim").String(); got != "--set model.dim=64" {
		t.Errorf("model.dim is set at %q", got)
	}
	if got := s.Errorf("model.vocab", "too %s", "many").Error(); got != "x.jsonnet:2:1: too many\n\tset at <llamac>/twin.libsonnet:12:12" {
		t.Errorf("Errorf gives %q", got)
	}
	if got := (&Spec{File: "y"}).Errorf("model", "m").Error(); got != "y: m" {
		t.Errorf("Errorf of a hand-made spec gives %q", got)
	}
}

// JSON is canonical: it reads back, keys are sorted, and numbers are the
// shortest that read back the same, though Jsonnet prints 17 digits.
func TestJSON(t *testing.T) {
	s := loadText(t, strings.Replace(tiny, "%s", "optim+: { lr: 1.5e-4 }, doc: 'a<b & c', data+: { tokens: 1.4e12 }", 1))
	for _, want := range []string{"    \"lr\": 0.00015,\n", "    \"tokens\": 1400000000000,\n", `"doc": "a<b & c"`, "{\n  \"checkpoint\": {\n    \"budget\": 0,\n"} {
		if !bytes.Contains(s.JSON, []byte(want)) {
			t.Errorf("JSON lacks %q", want)
		}
	}
	var m map[string]any
	if err := json.Unmarshal(s.JSON, &m); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(canonical(m), s.JSON) {
		t.Error("JSON is not a fixed point of its own form")
	}
	// The document may be fed back: it is a spec without a library.
	again := loadText(t, string(s.JSON))
	if again.Hash != s.Hash {
		t.Error("the document read as a spec is another document")
	}
}

func TestTrace(t *testing.T) {
	var b strings.Builder
	fsys := fstest.MapFS{"x.jsonnet": {Data: []byte(strings.Replace(tiny, "%s", "doc: std.trace('here', 'd')", 1))}}
	s, err := Load("x.jsonnet", Options{FS: fsys, Trace: &b})
	if err != nil || s.Doc != "d" || b.String() != "TRACE: x.jsonnet:2 here\n" {
		t.Errorf("doc %q, trace %q, %v", s.Doc, b.String(), err)
	}
}

func TestConcurrent(t *testing.T) {
	want := load(t, "7b.jsonnet").Hash
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := Load("7b.jsonnet", Options{})
			if err != nil || s.Hash != want {
				t.Errorf("hash differs, or %v", err)
			}
		})
	}
	wg.Wait()
}

func TestSuggest(t *testing.T) {
	names := []string{"dim", "n_layers", "n_heads", "n_kv_heads", "ffn_dim", "vocab", "context", "norm_eps"}
	for name, want := range map[string]string{
		"dmi": "dim", "diim": "dim", "n_head": "n_heads", "layers": "n_layers", "nheads": "n_heads", "vocb": "vocab",
		"contxet": "context", "epsilon": "", "x": "", "": "", "rms_norm_eps": "norm_eps",
	} {
		if got := suggest(name, names); got != want {
			t.Errorf("suggest(%q) = %q, want %q", name, got, want)
		}
	}
	for _, c := range []struct {
		a, b string
		d    int
	}{{"", "", 0}, {"abc", "", 3}, {"", "ab", 2}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {"ca", "abc", 3}} {
		if got := editDistance(c.a, c.b); got != c.d {
			t.Errorf("editDistance(%q, %q) = %d, want %d", c.a, c.b, got, c.d)
		}
	}
}
