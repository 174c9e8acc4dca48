package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestFigures compiles the four models of the LLaMA paper by the command and
// holds --json to their exact sizes. Layers are loops, so that the largest
// model takes no more Go than the smallest.
func TestFigures(t *testing.T) {
	type figures struct {
		Name       string
		Params     int64
		FLOPs      int64 `json:"model_flops_per_token"`
		Tokens     int64 `json:"tokens_per_step"`
		Steps      int
		Saved      int64 `json:"saved_bytes_per_layer"`
		Checkpoint string
		Arenas     map[string]int64 `json:"arena_bytes"`
		Files      int              `json:"go_files"`
		Lines      int              `json:"go_lines"`
		Bytes      int              `json:"go_bytes"`
	}
	var lines []int
	for _, c := range []struct {
		spec          string
		params        int64
		h, f, a, l, s int64
		steps         int
	}{
		{"7b", 6738415616, 4096, 11008, 32, 32, 2048, 238419},
		{"13b", 13015864320, 5120, 13824, 40, 40, 2048, 238419},
		{"33b", 32528943616, 6656, 17920, 52, 60, 2048, 333786},
		{"65b", 65285660672, 8192, 22016, 64, 80, 2048, 333786},
	} {
		out, err := exec.Command("llamac", "compile", filepath.Join(specDir(t), c.spec+".jsonnet"), "--json").Output()
		if err != nil {
			t.Fatal(err)
		}
		var got figures
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		want := got
		want.Name, want.Params, want.Steps, want.Tokens, want.Checkpoint = "llama"+c.spec, c.params, c.steps, 4194304, "keep-linear"
		// 6 FLOPs a parameter of a matrix product, 6·L·h·s of causal attention.
		want.FLOPs = 6*(c.l*(4*c.h*c.h+3*c.h*c.f)+32000*c.h) + 6*c.l*c.h*c.s
		// One sequence in f32: x, q', k', v, o, r and g, u, and 4 bytes a head.
		want.Saved = c.s * (4*(6*c.h+2*c.f) + 4*c.a)
		if got.Name != want.Name || got.Params != want.Params || got.Steps != want.Steps || got.Tokens != want.Tokens ||
			got.Checkpoint != want.Checkpoint || got.FLOPs != want.FLOPs || got.Saved != want.Saved {
			t.Errorf("%s: got  %+v\nwant %+v", c.spec, got, want)
		}
		// Weights are padded to cache lines, a few bytes each.
		if w := got.Arenas["weights"]; w < 4*c.params || w > 4*c.params+64*(9*c.l+3) {
			t.Errorf("%s: %d bytes of weights for %d parameters", c.spec, w, c.params)
		}
		if got.Files < 3 || got.Bytes < 20*got.Lines {
			t.Errorf("%s: %d files, %d lines, %d bytes of Go", c.spec, got.Files, got.Lines, got.Bytes)
		}
		lines = append(lines, got.Lines)
	}
	for i, n := range lines {
		if d := n - lines[0]; d < -200 || d > 200 {
			t.Errorf("size %d has %d lines of Go, 7B %d", i, n, lines[0])
		}
	}
}
