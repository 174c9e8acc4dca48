package weights

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/runtime/sample"
)

func asset(t *testing.T, name string) string {
	t.Helper()
	root := os.Getenv("LLAMAC_ASSETS")
	if root == "" {
		t.Skip("LLAMAC_ASSETS not set: " + name)
	}
	return filepath.Join(root, name)
}

const (
	stories   = "weights/stories260K/stories260K.bin"
	storiesHF = "weights/stories260K_hf_f32"
)

func stories260K(rope string, tied bool) model.Info {
	return llama(64, 5, 8, 4, 172, 512, 512, tied, rope)
}

func loaded(t *testing.T, info model.Info, path string) []float32 {
	t.Helper()
	a := arena(info)
	if err := Load(info, path, a); err != nil {
		t.Fatal(err)
	}
	checkGaps(t, info, a)
	return a
}

// TestStoriesLogits runs the real model from llama2.c's file and compares loss
// and logits with PyTorch's float32: 1e-4 of the largest logit covers five
// layers of its rounding and is far below what a swapped weight does.
func TestStoriesLogits(t *testing.T) {
	bin := asset(t, stories)
	b, err := os.ReadFile(asset(t, "refs/ref_stories260K_dev.json"))
	if err != nil {
		t.Fatal(err)
	}
	var ref struct {
		Forward struct {
			Tokens, Targets []int32
			Loss            float64
		}
	}
	if err := json.Unmarshal(b, &ref); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(asset(t, "refs/ref_stories260K_dev_logits_f32_64x512.bin"))
	if err != nil {
		t.Fatal(err)
	}
	info := stories260K("interleaved", true)
	logits := forward(info, loaded(t, info, bin), ref.Forward.Tokens, 1e-5, 10000)
	top, worst, loss := 0.0, 0.0, 0.0
	for i, row := range logits {
		for j, x := range row {
			want := float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*(i*512+j):])))
			top, worst = math.Max(top, math.Abs(want)), math.Max(worst, math.Abs(x-want))
		}
		softmax(row)
		loss -= math.Log(row[ref.Forward.Targets[i]]) / float64(len(logits))
	}
	if worst > 1e-4*top {
		t.Errorf("logits differ by %g, largest %g", worst, top)
	}
	if math.Abs(loss-ref.Forward.Loss) > 1e-4*ref.Forward.Loss {
		t.Errorf("loss %v, want %v", loss, ref.Forward.Loss)
	}
}

// TestStoriesGreedy writes the text that llama2.c's own test expects.
func TestStoriesGreedy(t *testing.T) {
	bin := asset(t, stories)
	want, err := os.ReadFile(asset(t, "weights/stories260K/expected_greedy_200.txt"))
	if err != nil {
		t.Fatal(err)
	}
	vocab, err := os.ReadFile(asset(t, "weights/stories260K/tok512.bin"))
	if err != nil {
		t.Fatal(err)
	}
	info := stories260K("interleaved", true)
	a := loaded(t, info, bin)
	s := sample.New(info.Vocab, sample.Config{})
	ids, text := []int32{1}, ""
	// The whole prefix again for each token is quadratic: sixty will do.
	for range 60 {
		all := forward(info, a, ids, 1e-5, 10000)
		row := make([]float32, info.Vocab)
		for i, x := range all[len(all)-1] {
			row[i] = float32(x)
		}
		id, err := s.Next(row, len(ids))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		text += piece(vocab, id)
	}
	if text = text[1:]; text != string(want[:len(text)]) { // the space after BOS
		t.Errorf("got  %q\nwant %q", text, want[:len(text)])
	}
}

// piece reads one piece of a llama2.c tokenizer file: the largest length, then
// score, length and bytes of each.
func piece(b []byte, id int32) string {
	at := 4
	for ; id > 0; id-- {
		at += 8 + int(binary.LittleEndian.Uint32(b[at+4:]))
	}
	s := string(b[at+8 : at+8+int(binary.LittleEndian.Uint32(b[at+4:]))])
	if s == "<0x0A>" {
		return "\n"
	}
	return s
}

// TestStoriesHuggingFace loads the same weights as converted by others: with
// the model's layout interleaved or half, through either file, the bits agree.
func TestStoriesHuggingFace(t *testing.T) {
	bin, dir := asset(t, stories), asset(t, storiesHF)
	for _, rope := range []string{"interleaved", "half"} {
		info := stories260K(rope, true)
		a, b := loaded(t, info, bin), loaded(t, info, dir)
		for i := range a {
			if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
				t.Fatalf("%s: element %d is %v from llama2.c's file, %v from safetensors", rope, i, a[i], b[i])
			}
		}
	}
	tokens := []int32{1, 403, 407, 261, 378, 13, 20, 30}
	inter, half := stories260K("interleaved", true), stories260K("half", true)
	x := forward(inter, loaded(t, inter, dir), tokens, 1e-5, 10000)
	y := forward(half, loaded(t, half, dir), tokens, 1e-5, 10000)
	for i := range x {
		for j := range x[i] {
			if d := math.Abs(x[i][j] - y[i][j]); d > 1e-10 {
				t.Fatalf("logit %d,%d differs by %g between the layouts", i, j, d)
			}
		}
	}
}

// TestStoriesUntied fills a model with an output of its own from tied files.
func TestStoriesUntied(t *testing.T) {
	info := stories260K("interleaved", false)
	for _, path := range []string{asset(t, stories), asset(t, storiesHF)} {
		a := loaded(t, info, path)
		e, o := info.Weights[0], info.Weights[len(info.Weights)-1]
		for i := range e.Len() {
			if a[e.Offset+i] != a[o.Offset+i] {
				t.Fatalf("%s: output differs from the embedding", path)
			}
		}
	}
}

// TestStoriesConfig reads the sizes.
func TestStoriesConfig(t *testing.T) {
	f, err := Open(asset(t, stories))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for k, want := range map[string]any{"dim": 64, "ffn_dim": 172, "n_layers": 5, "n_heads": 8, "n_kv_heads": 4, "vocab": 512, "context": 512, "tie": true} {
		if got := f.Config()[k]; got != want {
			t.Errorf("%s = %v, want %v", k, got, want)
		}
	}
	h, err := Open(asset(t, storiesHF))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if got := h.Config()["num_key_value_heads"]; got != 4.0 {
		t.Errorf("num_key_value_heads = %v", got)
	}
}

// TestForeignFormats names formats that are recognised but not read.
func TestForeignFormats(t *testing.T) {
	for name, want := range map[string]string{
		"weights/stories260K/tok512.bin":                   "not recognised",
		"weights/stories260K/expected_greedy_200.txt":      "this is a text that begins with \"Once upon a time",
		"tokenizer/llama/tokenizer.model":                  "not recognised",
		"weights/stories260K_hf_f32/config.json":           "not recognised",
		"onnx/stories260K_torch113_opset13_dyn.onnx":       "not recognised",
		"text/c4/c4_en_dummy.tar.gz":                       "this is a gzip file; unpack it",
		"refs/ref_stories260K_dev_logits_f32_64x512.bin":   "not recognised",
		"onnx/expected_logits_1x8x512_f32.bin":             "not recognised",
		"eval/oracle_llamacpp_hellaswag_hs_first100.score": "this is a text that begins with",
	} {
		f, err := Open(asset(t, name))
		if err == nil {
			f.Close()
			t.Errorf("%s was taken for %s", name, f.Format())
			continue
		}
		wantError(t, err, want)
	}
}
