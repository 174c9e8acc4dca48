package oracle

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/runtime/model/modeltest"
	"github.com/llamac/llamac/specs"
	"github.com/llamac/llamac/weights"
)

// TestPocket holds the oracle itself to PyTorch's float64 results on trained
// weights. They are stored with 24 bits, so that a tensor's elements differ by
// 2⁻²⁵ of themselves at most.
func TestPocket(t *testing.T) {
	dir := filepath.Join("..", "..", "generated", "testdata", "pocket")
	s, err := specs.Load(filepath.Join("..", "..", "specs", "testdata", "pocket.jsonnet"), specs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := weights.Open(filepath.Join(dir, "weights.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var ref struct {
		Loss    float64
		Tensors []struct {
			Name  string
			Shape []int
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "reference.json")); err != nil {
		t.Fatal(err)
	} else if err := json.Unmarshal(b, &ref); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "text.txt"))
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]int32, len(text))
	for i, b := range text {
		ids[i] = int32(b)
	}
	batch, T := s.Train.MicroBatch, s.Model.Context
	got, err := Compute(s, batch, model.Batch{Tokens: ids[:batch*T], Targets: ids[1:][:batch*T]}, func(dst []float32, name string, _ []int) error {
		return f.Read(name+".weight", dst)
	})
	if err != nil {
		t.Fatal(err)
	}
	const tolerance = 1e-7
	if d := math.Abs(got.Loss/ref.Loss - 1); d > 1e-12 {
		t.Errorf("loss %v, PyTorch has %v", got.Loss, ref.Loss)
	}
	compare(t, "logits", got.Logits[:T*s.Model.Vocab], readF32(t, filepath.Join(dir, "logits.f32")), tolerance)
	grads := readF32(t, filepath.Join(dir, "grads.f32"))
	for _, x := range ref.Tensors {
		n := 1
		for _, d := range x.Shape {
			n *= d
		}
		name := x.Name[:len(x.Name)-len(".weight")]
		compare(t, "gradient of "+name, got.Grads[name], grads[:n], tolerance)
		grads = grads[n:]
	}
	if len(got.Grads) != len(ref.Tensors) || len(grads) != 0 {
		t.Errorf("%d gradients, PyTorch has %d and %d numbers more", len(got.Grads), len(ref.Tensors), len(grads))
	}
}

func readF32(t *testing.T, path string) []float32 {
	t.Helper()
	x, err := modeltest.ReadF32(path)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// compare measures differences against the largest element.
func compare(t *testing.T, what string, got []float64, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d elements, want %d", what, len(got), len(want))
		return
	}
	var diff, scale float64
	for i, x := range want {
		diff, scale = max(diff, math.Abs(got[i]-float64(x))), max(scale, math.Abs(float64(x)))
	}
	if !(diff <= tolerance*scale) {
		t.Errorf("%s differs by %.3g of %.3g", what, diff, scale)
	}
}
