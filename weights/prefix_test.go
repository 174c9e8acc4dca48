package weights

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llamac/llamac/runtime/model"
)

// renamed gives each tensor the name that a function makes of its own.
func renamed(ts []named, f func(string) string) []named {
	out := slices.Clone(ts)
	for i := range out {
		out[i].name = f(out[i].name)
	}
	return out
}

// wrappings are what programs make of the names of a model's tensors.
var wrappings = []struct {
	name string
	of   func(string) string
	note string
}{
	{"compiled", func(s string) string { return "_orig_mod." + s }, "_orig_mod."},
	{"compiled inside", func(s string) string { return strings.Replace(s, "model.", "model._orig_mod.", 1) }, "model._orig_mod."},
	{"layers compiled", func(s string) string { return strings.Replace(s, ".0.", ".0._orig_mod.", 1) }, "._orig_mod."},
	{"data parallel", func(s string) string { return "module." + s }, "module."},
	{"both", func(s string) string { return "_orig_mod.module." + s }, "_orig_mod.module."},
	{"sharded data parallel", func(s string) string {
		return "_fsdp_wrapped_module." + strings.Replace(s, ".0.", ".0._fsdp_wrapped_module._checkpoint_wrapped_module.", 1)
	}, "_fsdp_wrapped_module."},
	{"doubled", func(s string) string { return "model." + s }, `"model." taken off`},
	{"base model", func(s string) string { return strings.TrimPrefix(s, "model.") }, `"model." put in front`},
	{"base model, parallel", func(s string) string { return "module." + strings.TrimPrefix(s, "model.") }, "module."},
	{"adapted", func(s string) string { return "base_model.model." + s }, `"base_model.model." taken off`},
	{"adapted base model", func(s string) string { return "base_model." + s }, `"base_model." taken off`},
	{"transformer", func(s string) string { return "transformer." + s }, `"transformer." taken off`},
	{"transformer for model", func(s string) string { return strings.Replace(s, "model.", "transformer.", 1) }, `"transformer." replaced by "model."`},
	{"state dict", func(s string) string { return "state_dict.net." + s }, `"state_dict.net." taken off`},
}

// TestPrefixes loads models from files whose names have a prefix more or less, in
// each format that has names of its own.
func TestPrefixes(t *testing.T) {
	r := rand.New(rand.NewPCG(35, 35))
	for _, w := range wrappings {
		for _, tied := range []bool{true, false} {
			info := llama(24, 2, 3, 1, 10, 13, 8, tied, "interleaved")
			ts := modelTensors(r, info, hf, F32)
			wrapped := renamed(ts, w.of)
			split := indexed(r, wrapped, 3)
			for form, path := range map[string]string{
				"safetensors": write(t, safetensorsFile(nil, wrapped)),
				"PyTorch":     write(t, torchBytes(t, wrapped)),
				"index":       split.write(t),
			} {
				a, notes := arena(info), []string(nil)
				if err := LoadNoting(info, path, a, func(n string) { notes = append(notes, n) }); err != nil {
					t.Fatalf("%s, %s: %v", w.name, form, err)
				}
				checkLoaded(t, info, hf, ts, a)
				if len(notes) != 1 || !strings.Contains(notes[0], w.note) || !strings.Contains(notes[0], path) {
					t.Errorf("%s, %s: notes %q, want one with %s", w.name, form, notes, w.note)
				}
				// What is missing is told in the file's names.
				_, less := pick(wrapped, w.of("model.layers.1.mlp.up_proj.weight"))
				err := Load(info, write(t, safetensorsFile(nil, less)), arena(info))
				if wantError(t, err, `up_proj.weight" for weight layers.1.feed_forward.w3`); t.Failed() {
					t.Fatal(w.name)
				}
			}
		}
	}
	// Meta's names, in parts as well.
	info := llama(24, 2, 6, 6, 18, 12, 8, false, "half")
	ts := modelTensors(r, info, meta, F32)
	wrapped := func(s string) string { return "module.language_model." + s }
	files := partFiles(t, ts, 1, 0)
	for k := range 2 {
		files[partName(k)] = torchBytes(t, renamed(cut(ts, 2, k, 0), wrapped))
	}
	checkLoaded(t, info, meta, ts, loaded(t, info, writeAll(t, files)))
	checkLoaded(t, info, meta, ts, loaded(t, info, write(t, safetensorsFile(nil, renamed(ts, wrapped)))))
}

// TestNoPrefix: names that fit are read as they are, without a word.
func TestNoPrefix(t *testing.T) {
	eachModel(rand.New(rand.NewPCG(36, 36)), func(info model.Info, n naming, ts []named, dtype DType) {
		note := func(s string) { t.Error(s) }
		if err := LoadNoting(info, write(t, safetensorsFile(nil, ts)), arena(info), note); err != nil {
			t.Error(err)
		}
	})
}

// TestPrefixRefused: two models in a file, layers that are others, adapters.
func TestPrefixRefused(t *testing.T) {
	info := llama(16, 2, 2, 1, 6, 11, 8, false, "half")
	ts := modelTensors(rand.New(rand.NewPCG(37, 37)), info, hf, F32)
	with := func(prefix string) []named { return renamed(ts, func(s string) string { return prefix + s }) }
	for name, c := range map[string]struct {
		ts   []named
		want []string
	}{
		"two models":    {append(with("teacher."), with("student.")...), []string{"fit the model in two ways", `"student." taken off`, `"teacher." taken off`}},
		"a second one":  {append(with(""), with("ema.")...), []string{`tensor "ema.`, "has no place"}},
		"twice":         {append(with("module."), with("_orig_mod.module.")...), []string{"are both", "without prefixes"}},
		"other layers":  {renamed(ts, func(s string) string { return strings.NewReplacer(".0.", ".2.", ".1.", ".3.").Replace(s) }), []string{`no tensor "model.layers.0.`}},
		"adapter":       {[]named{{"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", F32, []int{2, 16}, make([]float32, 32)}}, []string{"none of the tensors", "LoRA adapter"}},
		"merged halves": {append(with("base_model.model."), named{"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", F32, []int{2, 16}, make([]float32, 32)}), []string{"lora_A.weight", "has no place"}},
		"foreign":       {[]named{{"encoder.block.0.layer.0.SelfAttention.q.weight", F32, []int{1}, []float32{1}}}, []string{"none of the tensors has a name of model tiny", `"encoder.block.0.layer.0.SelfAttention.q.weight"`, "tok_embeddings.weight"}},
		"misspelt": {renamed(ts, func(s string) string { return strings.Replace(s, "1.mlp.gate_proj", "1.mlp.gate_prj", 1) }),
			[]string{`no tensor "model.layers.1.mlp.gate_proj.weight" for weight layers.1.feed_forward.w1; there is "model.layers.1.mlp.gate_prj.weight"`}},
		"base model without its head": {slices.DeleteFunc(renamed(ts, func(s string) string { return strings.TrimPrefix(s, "model.") }), func(x named) bool { return x.name == hfHead }),
			[]string{`no tensor "lm_head.weight" for weight output: nothing says that "embed_tokens.weight" stands for it`, "--set model.tie=true"}},
		"empty": {nil, []string{"none of the tensors", "the file has none"}},
	} {
		a := arena(info)
		err := Load(info, write(t, safetensorsFile(nil, c.ts)), a)
		if wantError(t, err, c.want...); t.Failed() {
			t.Fatal(name)
		}
		untouched(t, name, a)
	}
}

// TestFolders reads each form in which a folder has a model, and says which it took
// of several.
func TestFolders(t *testing.T) {
	r := rand.New(rand.NewPCG(38, 38))
	info := llama(24, 2, 3, 1, 10, 13, 8, false, "interleaved")
	// Each form has numbers of its own.
	type form struct {
		name  string
		n     naming
		ts    []named
		files map[string][]byte
	}
	var forms []form
	add := func(name string, n naming, make func(ts []named) map[string][]byte) {
		ts := modelTensors(r, info, n, F32)
		forms = append(forms, form{name, n, ts, make(ts)})
	}
	dealt := func(pattern string, write func([]named) []byte, index string) func(ts []named) map[string][]byte {
		return func(ts []named) map[string][]byte {
			files, at := map[string][]byte{}, map[string]string{}
			for k := range 3 {
				name := fmt.Sprintf(pattern, k+1, 3)
				var part []named
				for i := k; i < len(ts); i += 3 {
					part = append(part, ts[i])
					at[ts[i].name] = name
				}
				files[name] = write(part)
			}
			if index != "" {
				files[index] = indexJSON(at)
			}
			return files
		}
	}
	safe := func(ts []named) []byte { return safetensorsFile(nil, ts) }
	torch := func(ts []named) []byte { return torchBytes(t, ts) }
	add(oneFile, hf, func(ts []named) map[string][]byte { return map[string][]byte{oneFile: safe(ts)} })
	add(indexFile, hf, dealt("model-%05d-of-%05d.safetensors", safe, indexFile))
	add("model-*-of-*.safetensors", hf, dealt("model-%05d-of-%05d.safetensors", safe, ""))
	add(torchOne, hf, func(ts []named) map[string][]byte { return map[string][]byte{torchOne: torch(ts)} })
	add(torchIndex, hf, dealt("pytorch_model-%05d-of-%05d.bin", torch, torchIndex))
	add("pytorch_model-*-of-*.bin", hf, dealt("pytorch_model-%05d-of-%05d.bin", torch, ""))
	add(partName(0), meta, func(ts []named) map[string][]byte { return map[string][]byte{partName(0): torch(ts)} })
	add(mistralFile, meta, func(ts []named) map[string][]byte { return map[string][]byte{mistralFile: safe(ts)} })
	for i, f := range forms {
		a, notes := arena(info), []string(nil)
		note := func(s string) { notes = append(notes, s) }
		if err := LoadNoting(info, writeAll(t, f.files), a, note); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		checkLoaded(t, info, f.n, f.ts, a)
		if len(notes) > 0 {
			t.Errorf("%s alone: %q", f.name, notes)
		}
		for k, other := range forms[i+1:] {
			files := map[string][]byte{}
			for _, fs := range []map[string][]byte{other.files, f.files} {
				for name, b := range fs {
					files[name] = b
				}
			}
			notes = nil
			if err := LoadNoting(info, writeAll(t, files), a, note); err != nil {
				t.Fatalf("%s and %s: %v", f.name, other.name, err)
			}
			checkLoaded(t, info, f.n, f.ts, a)
			own := k == 0 && (f.name == indexFile || f.name == torchIndex)
			if said := slices.ContainsFunc(notes, func(n string) bool {
				return strings.Contains(n, f.name+" is read, and not "+other.name)
			}); said == own {
				t.Errorf("%s and %s: %q", f.name, other.name, notes)
			}
		}
	}
	for name, c := range map[string]struct {
		change func(files map[string][]byte)
		of     int
		want   []string
	}{
		"a shard is missing":      {func(f map[string][]byte) { delete(f, "model-00002-of-00003.safetensors") }, 2, []string{"there is no model-00002-of-00003.safetensors, of 3 files"}},
		"the last is missing":     {func(f map[string][]byte) { delete(f, "pytorch_model-00003-of-00003.bin") }, 5, []string{"there is no pytorch_model-00003-of-00003.bin"}},
		"of two models":           {func(f map[string][]byte) { f["model-00001-of-00004.safetensors"] = nil }, 2, []string{"of a model of 00003 and of one of 00004"}},
		"of a billion":            {func(f map[string][]byte) { clear(f); f["model-00001-of-99999.safetensors"] = []byte("x") }, 2, []string{"there is no model-00002-of-99999.safetensors"}},
		"listed shard is missing": {func(f map[string][]byte) { delete(f, "pytorch_model-00003-of-00003.bin") }, 4, []string{torchIndex, "weight_map names pytorch_model-00003-of-00003.bin"}},
		"a pointer": {func(f map[string][]byte) {
			f[torchOne] = []byte("version https://git-lfs.github.com/spec/v1\noid sha256:9e\nsize 4997\n")
		}, 3, []string{torchOne, "git lfs pull"}},
		"an index that is a page": {func(f map[string][]byte) { f[indexFile] = []byte("<!DOCTYPE html><title>Sign in</title>") }, 1, []string{indexFile, `an HTML page ("Sign in")`}},
		"a configuration that is an answer": {func(f map[string][]byte) { f[configFile] = []byte(`{"error": "Repository not found"}`) }, 0,
			[]string{configFile, `"Repository not found"`}},
		"a download": {func(f map[string][]byte) { f[oneFile+".incomplete"] = f[oneFile]; delete(f, oneFile) }, 0, []string{"holds no model.safetensors", "model.safetensors.incomplete looks like a download"}},
		"an adapter": {func(f map[string][]byte) { f["adapter_model.safetensors"] = f[oneFile]; delete(f, oneFile) }, 0, []string{"an adapter"}},
		"a GGUF":     {func(f map[string][]byte) { f["m.gguf"] = f[oneFile]; delete(f, oneFile) }, 0, []string{"name the weight file itself: m.gguf"}},
	} {
		files := map[string][]byte{}
		for file, b := range forms[c.of].files {
			files[file] = b
		}
		c.change(files)
		if wantError(t, Load(info, writeAll(t, files), arena(info)), c.want...); t.Failed() {
			t.Fatal(name)
		}
	}
	// One of several files by itself.
	dir := writeAll(t, forms[1].files)
	wantError(t, Load(info, filepath.Join(dir, "model-00002-of-00003.safetensors"), arena(info)), "one of several of a model: name their folder")
	// Folders where files should be, one of them the folder itself.
	for _, name := range []string{oneFile, torchOne, partName(0)} {
		dir := t.TempDir()
		if err := os.Symlink(dir, filepath.Join(dir, name)); err != nil {
			t.Skip(err)
		}
		wantError(t, Load(info, dir, arena(info)), name, "this is no file")
	}
}

// TestFetchedWrong: what servers send and programs pack, in place of weights.
func TestFetchedWrong(t *testing.T) {
	good := safetensorsFile(nil, []named{{"a", F32, []int{64}, make([]float32, 64)}})
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"pointer":               {[]byte("version https://git-lfs.github.com/spec/v1\noid sha256:9e\nsize 4997\n"), "git-lfs pointer"},
		"page":                  {[]byte("<!DOCTYPE html><html><head><title>404</title>"), `HTML page ("404")`},
		"answer":                {[]byte(`{"error":"Invalid credentials"}`), `"Invalid credentials"`},
		"text":                  {[]byte("Entry not found"), `"Entry not found"`},
		"gzip":                  {append([]byte("\x1f\x8b\x08\x00"), good...), "gunzip"},
		"zip":                   {archive(t, 0, "model.safetensors", string(good)), "no file of PyTorch"},
		"empty":                 {nil, "an empty file"},
		"cut off":               {good[:len(good)-9], "a download that did not end"},
		"cut off in the header": {good[:20], "a download that did not end"},
	} {
		_, err := Open(write(t, c.b))
		if wantError(t, err, c.want); t.Failed() {
			t.Fatal(name)
		}
	}
	path := filepath.Join(t.TempDir(), "model.safetensors.part")
	if err := os.WriteFile(path, good[:30], 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path)
	wantError(t, err, "by its name it is a download that has not ended")
}
