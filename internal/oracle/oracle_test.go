package oracle

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/runtime/model/modeltest"
	"github.com/llamac/llamac/specs"
	"github.com/llamac/llamac/weights"
)

// pocket is a trained model and what PyTorch gives for it.
type pocket struct {
	dir  string
	text []int32 // bytes
	file weights.File
	ref  struct {
		Loss       float64
		MaskedLoss float64 `json:"masked_loss"`
		Tensors    []struct {
			Name  string
			Shape []int
		}
	}
}

func openPocket(t *testing.T) *pocket {
	t.Helper()
	p := &pocket{dir: filepath.Join("..", "..", "generated", "testdata", "pocket")}
	var err error
	if p.file, err = weights.Open(filepath.Join(p.dir, "weights.safetensors")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.file.Close() })
	if b, err := os.ReadFile(filepath.Join(p.dir, "reference.json")); err != nil {
		t.Fatal(err)
	} else if err := json.Unmarshal(b, &p.ref); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(p.dir, "text.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range text {
		p.text = append(p.text, int32(b))
	}
	return p
}

// compute runs the spec, with overrides, on the first micro-batch of the text.
func (p *pocket) compute(t *testing.T, set ...string) *Result {
	t.Helper()
	s, err := specs.Load(filepath.Join("..", "..", "specs", "testdata", "pocket.jsonnet"), specs.Options{Set: set})
	if err != nil {
		t.Fatal(err)
	}
	n := s.Train.MicroBatch * s.Model.Context
	in := model.Batch{Tokens: p.text[:n], Targets: p.text[1:][:n], Starts: make([]int32, n)}
	for i := range n { // a line is a document
		if at := i % s.Model.Context; at > 0 {
			in.Starts[i] = in.Starts[i-1]
			if in.Tokens[i-1] == '\n' {
				in.Starts[i] = int32(at)
			}
		}
	}
	got, err := Compute(s, s.Train.MicroBatch, in, func(dst []float32, name string, _ []int) error {
		return p.file.Read(name+".weight", dst)
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestPocket holds the oracle itself to PyTorch's float64 results on trained
// weights. They are stored with 24 bits, so that a tensor's elements differ by
// 2⁻²⁵ of themselves at most.
func TestPocket(t *testing.T) {
	p := openPocket(t)
	got, ref := p.compute(t), p.ref
	const tolerance = 1e-7
	if d := math.Abs(got.Loss/ref.Loss - 1); d > 1e-12 {
		t.Errorf("loss %v, PyTorch has %v", got.Loss, ref.Loss)
	}
	logits := readF32(t, filepath.Join(p.dir, "logits.f32"))
	compare(t, "logits", got.Logits[:len(logits)], logits, tolerance)
	grads := readF32(t, filepath.Join(p.dir, "grads.f32"))
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

// TestPocketMasked is the same with attention that stops at documents. PyTorch
// masks by comparing the documents' numbers, the oracle by where they begin.
func TestPocketMasked(t *testing.T) {
	p := openPocket(t)
	got := p.compute(t, "data.boundary=mask")
	if d := math.Abs(got.Loss/p.ref.MaskedLoss - 1); d > 1e-12 || p.ref.MaskedLoss == p.ref.Loss {
		t.Errorf("loss %v, PyTorch has %v", got.Loss, p.ref.MaskedLoss)
	}
	grads := readF32(t, filepath.Join(p.dir, "masked_grads.f32"))
	for _, x := range p.ref.Tensors {
		name := strings.TrimSuffix(x.Name, ".weight")
		if w := name[strings.LastIndexByte(name, '.')+1:]; w != "wq" && w != "wk" && w != "wv" {
			continue
		}
		n := x.Shape[0] * x.Shape[1]
		compare(t, "gradient of "+name, got.Grads[name], grads[:n], 1e-7)
		grads = grads[n:]
	}
	if len(grads) != 0 {
		t.Errorf("PyTorch has %d numbers more", len(grads))
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
