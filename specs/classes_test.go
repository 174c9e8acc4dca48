package specs

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/llamac/llamac/runtime/model"
)

// TestFieldsHaveAClass asks for every field of the schema whether it may change
// when a run goes on: a new field needs a row in runtime/model's table.
func TestFieldsHaveAClass(t *testing.T) {
	s, err := Load("gopher.jsonnet", Options{Set: []string{"model.rope.scaling.kind=llama3", "model.rope.scaling.factor=8",
		"model.rope.scaling.low_freq_factor=1", "model.rope.scaling.high_freq_factor=4", "model.rope.scaling.original_context=64"}})
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(s.JSON, &doc); err != nil {
		t.Fatal(err)
	}
	fields := map[string]bool{}
	d := &decoder{at: s.at, bad: map[string]bool{}, partial: map[string]bool{}, asked: func(p string) { fields[p] = true }}
	var again Spec
	d.spec(doc, &again)
	d.check(&again)
	if len(d.errs) > 0 {
		t.Fatal(d.errs)
	}
	if len(fields) < 80 {
		t.Errorf("only %d fields were asked for", len(fields))
	}
	sections := map[string]bool{"train": true, "data": true, "tokenizer": true, "precision": true}
	for p := range fields {
		if _, known := model.ClassOf(p); !known && !sections[p] {
			t.Errorf("%s has no class in runtime/model/changes.go", p)
		}
	}
	for p, want := range map[string]model.Class{
		"model.rope.layout": model.IdentityField, "model.rope.scaling.factor": model.IdentityField, "model.block[3].value": model.IdentityField,
		"precision.compute": model.IdentityField, "model.context": model.RecipeField, "optim.lr": model.RecipeField, "data.sources[0].share": model.RecipeField,
		"data.sources[0].paths": model.FreeField, "tokenizer.path": model.FreeField, "checkpoint.policy": model.FreeField, "doc": model.FreeField,
		"train.keep.last": model.FreeField, "train.sample.top_p": model.FreeField, "train.steps": model.RecipeField, "names.hf": model.FreeField,
	} {
		if got, _ := model.ClassOf(p); got != want {
			t.Errorf("%s has class %d, want %d", p, got, want)
		}
	}
}

// TestChanges compares specs as runs and weights do.
func TestChanges(t *testing.T) {
	load := func(set ...string) string {
		s, err := Load("gopher.jsonnet", Options{Set: set})
		if err != nil {
			t.Fatal(err)
		}
		return string(s.JSON)
	}
	base := load()
	for _, c := range []struct {
		name string
		new  string
		want []string
	}{
		{"same", load(), nil},
		{"free", load(`doc="x"`, "name=other", "train.save_every=7", "checkpoint.policy=full", "train.sample.count=0", "train.eval.every=3", "train.keep.last=5"), nil},
		{"spelt", load("model.head_dim=32", "optim.lr=0.002", "model.rope.scaling.factor=3", "tokenizer.specials=false"), nil},
		{"renamed nodes", strings.ReplaceAll(strings.ReplaceAll(base, `"attn.n"`, `"normed"`), `"logits"`, `"scores"`), nil},
		{"rate", load("optim.lr=0.001"), []string{"optim.lr was 0.002 and is 0.001"}},
		{"heads", load("model.n_heads=16"), []string{"model.n_heads was 8 and is 16", "model.n_kv_heads was 8 and is 16"}},
		{"width of heads", load("model.head_dim=64"), []string{"model.head_dim was not there and is 64"}},
		{"several", load("model.norm_eps=1e-6", "schedule.warmup=5", "data.boundary=mask"),
			[]string{`data.boundary was "cross" and is "mask"`, "model.norm_eps was 1e-05 and is 1e-06", "schedule.warmup was 90 and is 5"}},
		{"a node", strings.Replace(base, `"silu"`, `"gelu"`, 1), []string{`model.block[20].kind was "silu" and is "gelu"`}},
		{"rope", load("model.rope.layout=half", "model.rope.scaling.kind=linear", "model.rope.scaling.factor=2"),
			[]string{`model.rope.layout was "interleaved" and is "half"`, "model.rope.scaling.factor was not there and is 2", `model.rope.scaling.kind was "none" and is "linear"`}},
	} {
		changes, err := model.Changes(base, c.new)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range changes {
			got = append(got, x.String())
		}
		if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s: %q\nwant %q", c.name, got, c.want)
		}
	}
	if _, err := model.Changes("", base); err == nil {
		t.Error("no document is no spec")
	}
}

// TestFloat32 refuses numbers that are others where they are computed with.
func TestFloat32(t *testing.T) {
	for _, c := range [][2]string{
		{"model.norm_eps=1e-50", "model.norm_eps is 1e-50, which is 0 in float32"},
		{"optim.eps=1e-46", "optim.eps is 1e-46, which is 0 in float32"},
		{"optim.lr=1e-50", "0 in float32"},
		{"optim.lr=1e39", "infinite in float32"},
		{"model.rope.theta=1e40", "infinite in float32"},
		{"optim.beta2=0.99999999", "optim.beta2 is 0.99999999, which is 1 in float32: it must be at least 0 and less than 1"},
		{"optim.clip=1e-60", "0 in float32"},
	} {
		_, err := Load("gopher.jsonnet", Options{Set: []string{c[0]}})
		if err == nil || !strings.Contains(err.Error(), c[1]) || !strings.Contains(err.Error(), c[0]) {
			t.Errorf("--set %s: %v", c[0], err)
		}
	}
}
