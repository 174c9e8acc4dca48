package weights

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/llamac/llamac/runtime/model"
)

// facts reads what a file says of its model, and the document beside it.
func facts(info model.Info, path string, f File) (*claims, error) {
	s := &claims{}
	switch f := f.(type) {
	case *ggufFile:
		s.gguf(f)
	case *llama2c:
		if err := s.llama2c(f); err != nil {
			return nil, err
		}
	default:
		// Checkpoints of llamac carry the hash of their spec, which says it all.
		if f.Format() == "llamac checkpoint" {
			return s, nil
		}
		if err := s.beside(path, f); err != nil {
			return nil, err
		}
	}
	// A part has the tables whole.
	if parts, ok := f.(*torchParts); ok {
		f = parts.parts[0]
	}
	return s, s.turnings(f)
}

// beside reads the document that describes the weights of a folder: Meta's or
// Mistral's params.json, or transformers' config.json. A file is as good as its
// folder if it has the name that it has there; under any other name, what lies
// beside it may be of another model, and a note says that it was left alone.
func (s *claims) beside(path string, f File) error {
	dir, base := path, ""
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !st.IsDir() {
		dir, base = filepath.Dir(path), filepath.Base(path)
		known := false
		for _, pattern := range []string{oneFile, "model-*-of-*.safetensors", "pytorch_model*.bin", partPattern, "consolidated.safetensors"} {
			ok, _ := filepath.Match(pattern, base)
			known = known || ok
		}
		if !known {
			for _, name := range []string{configFile, paramsFile} {
				if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
					s.notes = append(s.notes, fmt.Sprintf("%s beside it was not compared, as it may be of another model: a file that it describes is called %s, %s or %s", name, oneFile, torchOne, partName(0)))
				}
			}
			return nil
		}
	}
	// A folder with a single file is opened as that file.
	switch one := f.(type) {
	case *torchFile:
		base = filepath.Base(one.path)
	case *safetensors:
		base = filepath.Base(one.path)
	}
	_, parts := f.(*torchParts)
	file := configFile
	if parts || strings.HasPrefix(base, "consolidated.") {
		file = paramsFile
	}
	config, err := readConfig(filepath.Join(dir, file))
	if err != nil || config == nil {
		return err
	}
	if file == paramsFile {
		s.meta(config)
	} else {
		s.huggingFace(config, file)
	}
	return nil
}

// meta reads params.json: Meta's, whose keys Mistral's own files have and add to.
func (s *claims) meta(config map[string]any) {
	d := &document{s, config, paramsFile + ": "}
	d.numbers(ofDim, "dim")
	d.numbers(ofLayers, "n_layers")
	d.numbers(ofContext, "max_seq_len")
	// -1 stands for the tokenizer's.
	if v, ok := d.number("vocab_size"); ok && v != -1 {
		d.add(ofVocab, v, "", d.place("vocab_size"))
	}
	d.numbers(ofHeads, "n_heads")
	if !d.numbers(ofKVHeads, "n_kv_heads") {
		if heads, ok := s.number(ofHeads); ok {
			d.add(ofKVHeads, heads, "absent, which means n_heads, "+show(heads), d.place("n_kv_heads"))
		}
	}
	d.numbers(ofHeadDim, "head_dim")
	s.impliedHeadDim(d.place("head_dim"))
	if !d.numbers(ofFFNDim, "hidden_dim") {
		d.metaFFN()
	}
	d.numbers(ofNormEps, "norm_eps")
	// Llama 2's code has 10000 where this is missing, and Llama 3's has 500000.
	d.numbers(ofTheta, "rope_theta")
	d.metaScaling()
	d.numbers(ofWindow, "sliding_window")
	for _, key := range []string{"tied_embeddings", "tie_word_embeddings"} {
		if v, ok := d.flag(key); ok {
			d.add(ofTie, v, "", d.place(key))
		}
	}
	for key, why := range map[string]string{"moe": "the feed-forward network is one of several, chosen for each token", "moe_args": "the feed-forward network is one of several, chosen for each token",
		"lora_args": "matrices have additions of low rank", "llama_4_scaling": "scores are scaled by their position"} {
		if v, ok := d.get(key); ok {
			d.add(ofElse, why, brief(v), d.place(key))
		}
	}
	if _, ok := d.object("yarn"); ok {
		d.add(ofScaling, scalingSaid{other: "yarn"}, "an object", d.place("yarn"))
	}
	for _, key := range []string{"quantization_args", "quantization"} {
		if _, ok := d.get(key); ok {
			s.problems = append(s.problems, fmt.Sprintf("%s: the weights are quantised, which is not read; %s", d.place(key), readableTypes))
		}
	}
}

// metaFFN computes the width of the feed-forward network as Meta's code does: two
// thirds of four times the model's, times a factor, up to a multiple.
func (d *document) metaFFN() {
	dim, ok1 := d.claims.number(ofDim)
	multiple, ok2 := d.number("multiple_of")
	factor, times := d.number("ffn_dim_multiplier")
	if !ok1 || !ok2 || multiple < 1 || dim < 1 || dim > 1<<40 || multiple > 1<<40 {
		return
	}
	// Truncated twice, as int() does there.
	width := math.Trunc(2 * 4 * dim / 3)
	text := fmt.Sprintf("%s of dim %s", show(multiple), show(dim))
	if times {
		width = math.Trunc(factor * width)
		text += fmt.Sprintf(" and ffn_dim_multiplier %s", show(factor))
	}
	width = multiple * math.Ceil(width/multiple)
	d.add(ofFFNDim, width, text+", which means a width of "+show(width), d.place("multiple_of"))
}

// metaScaling reads the flag that turns Llama 3's scaling on. Its numbers stand in
// Meta's code, and the factor is 8 there for Llama 3.1 and 32 for 3.2: the file
// does not say which.
func (d *document) metaScaling() {
	used, ok := d.flag("use_scaled_rope")
	if !ok && d.values["use_scaled_rope"] != nil {
		return
	}
	v := scalingSaid{}
	text := "absent, which means none"
	if ok {
		text = "false"
	}
	if used {
		v.RopeScaling, v.factors = llama3s(0), []float64{8, 32}
		text = "true, which means llama3 with a factor of 8 (Llama 3.1) or 32 (Llama 3.2): the file does not say which"
	}
	if n, ok := d.number("rope_scaling_factor"); ok && used {
		v.Factor, v.factors = n, nil
		text = "true, with rope_scaling_factor " + show(n)
	}
	d.add(ofScaling, v, text, d.place("use_scaled_rope"))
}

// llama2c reads the header, and the tables of angles that the format keeps though
// nobody reads them.
func (s *claims) llama2c(f *llama2c) error {
	for i, h := range []struct {
		about subject
		name  string
		value int
	}{{ofDim, "dim", f.dims.dim}, {ofFFNDim, "hidden_dim", f.dims.ffn}, {ofLayers, "n_layers", f.dims.layers}, {ofHeads, "n_heads", f.dims.heads},
		{ofKVHeads, "n_kv_heads", f.dims.kvHeads}, {ofVocab, "vocab_size", f.dims.vocab}, {ofContext, "seq_len", f.dims.context}} {
		s.add(h.about, float64(h.value), "", fmt.Sprintf("header at byte %d: %s", 4*i, h.name))
	}
	if !f.dims.tied {
		s.add(ofTie, false, "false (vocab_size is negative)", "header at byte 20: shared classifier")
	}
	s.impliedHeadDim("header: n_heads")
	return s.llama2cAngles(f)
}

// llama2cAngles reads cosines and sines of the second position, whose angles are
// the frequencies.
func (s *claims) llama2cAngles(f *llama2c) error {
	half := f.dims.dim / f.dims.heads / 2
	norm := f.at["norm.weight"]
	at := f.offset[norm] + int64(4*f.tensors[norm].Len())
	rows := int64(f.dims.context)
	if rows < 2 || half > 1<<16 {
		return nil
	}
	read := func(offset int64) ([]float64, error) {
		b := make([]byte, 4*half)
		if _, err := f.f.ReadAt(b, offset); err != nil {
			return nil, bad(f.path, offset, "reading the tables of angles: %v", err)
		}
		out := make([]float64, half)
		for i := range out {
			out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
		}
		return out, nil
	}
	cos, err := read(at + int64(4*half))
	if err != nil {
		return err
	}
	sin, err := read(at + 4*int64(half)*(rows+1))
	if err != nil {
		return err
	}
	t := turning{within: 2e-5, turned: true}
	for i := range cos {
		// Some writers leave the place empty.
		if r := math.Hypot(cos[i], sin[i]); !(math.Abs(r-1) < 1e-5) {
			return nil
		}
		t.values = append(t.values, math.Atan2(sin[i], cos[i]))
	}
	s.add(ofTurning, t, "", fmt.Sprintf("table of angles at byte %d", at))
	return nil
}
