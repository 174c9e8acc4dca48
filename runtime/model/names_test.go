package model

import (
	"fmt"
	"slices"
	"testing"
)

// TestNumber numbers whole words and no others, wherever they stand.
func TestNumber(t *testing.T) {
	for name, want := range map[string]string{
		"layers.N.attention.wq":          "layers.7.attention.wq",
		"transformer.h.N.attn.c_proj.wN": "transformer.h.7.attn.c_proj.wN",
		"N.weight":                       "7.weight",
		"encoder.N":                      "encoder.7",
		"N":                              "7",
		"blocks.N.mlp.experts.N.w":       "blocks.7.mlp.experts.7.w",
		"final.Norm.weight":              "final.Norm.weight",
		"N2.x":                           "N2.x",
		"layersN.x":                      "layersN.x",
		"":                               "",
	} {
		if got := Number(name, 7); got != want {
			t.Errorf("Number(%q) is %q, want %q", name, got, want)
		}
		if got := PerLayer(name); got != (name != want) {
			t.Errorf("PerLayer(%q) is %v", name, got)
		}
	}
}

// TestCollide compares with writing out all names.
func TestCollide(t *testing.T) {
	names := []string{"a", "N", "0", "1", "3", "01", "a.N", "N.a", "a.0", "a.2", "N.N", "N.0", "1.N", "0.1", "1.1", "0.0", "a.N.b.N", "a.0.b.N", "a.N.b.1", "a.0.b.1", "a.Norm"}
	const layers = 3
	all := func(name string) (out []string) {
		for l := range layers {
			out = append(out, Number(name, l))
		}
		return out
	}
	for _, a := range names {
		for _, b := range names {
			want := slices.ContainsFunc(all(a), func(x string) bool { return slices.Contains(all(b), x) })
			if got := Collide(a, b, layers); got != want {
				t.Errorf("Collide(%q, %q) is %v, want %v", a, b, got, want)
			}
		}
	}
}

// TestLayoutNames: each layer's tensors have names of their own, in every format.
func TestLayoutNames(t *testing.T) {
	rows := []Row{{Weight: Weight{Name: "layers.N.w", HF: "transformer.h.N.attn.weight", GGUF: "blk.N.w", Meta: "N.w.weight", Shape: []int{2}}, Layers: 2, Stride: -4}}
	for l, w := range Layout(rows) {
		want := fmt.Sprintf("layers.%d.w transformer.h.%d.attn.weight blk.%d.w %d.w.weight", l, l, l, l)
		if got := w.Name + " " + w.HF + " " + w.GGUF + " " + w.Meta; got != want {
			t.Errorf("layer %d: %s, want %s", l, got, want)
		}
	}
}
