package weights

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/llamac/llamac/runtime/model"
)

func randomArena(r *rand.Rand, info model.Info) []float32 {
	a := arena(info)
	for _, w := range info.Weights {
		for i := range w.Len() {
			a[w.Offset+i] = float32(r.NormFloat64())
		}
	}
	return a
}

func writeCheckpoint(t *testing.T, info model.Info, c Checkpoint, p, m, v []float32) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "step-7.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := WriteCheckpoint(f, info, c, p, m, v); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

var state = Checkpoint{Name: "tiny", SpecHash: "0123456789abcdef0123", Version: `v0 "dev"`, Step: 7, Steps: 100,
	Sequences: 1 << 40, Seed: math.MaxUint64, Data: "d", Tokenizer: "<t>", Ends: "2,7", Vocabulary: "seven b"} // an odd number of bytes

func sameBits(t *testing.T, what string, info model.Info, got, want []float32) {
	t.Helper()
	checkGaps(t, info, got)
	for _, w := range info.Weights {
		for i := range w.Len() {
			if a, b := got[w.Offset+i], want[w.Offset+i]; math.Float32bits(a) != math.Float32bits(b) {
				t.Fatalf("%s: %s[%d] is %v, want %v", what, w.Name, i, a, b)
			}
		}
	}
}

// TestCheckpointRoundTrip writes and reads a state, as a checkpoint and as the
// safetensors file that it is, by our own and others' reader.
func TestCheckpointRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	info := llama(24, 2, 3, 1, 10, 13, 8, false, "half")
	p, m, v := randomArena(r, info), randomArena(r, info), randomArena(r, info)
	path := writeCheckpoint(t, info, state, p, m, v)

	p2, m2, v2 := arena(info), arena(info), arena(info)
	c, err := ReadCheckpoint(path, info, p2, m2, v2)
	if err != nil {
		t.Fatal(err)
	}
	if c != state {
		t.Errorf("state %+v, want %+v", c, state)
	}
	sameBits(t, "weights", info, p2, p)
	sameBits(t, "first moment", info, m2, m)
	sameBits(t, "second moment", info, v2, v)

	p3 := arena(info)
	if _, err := ReadCheckpoint(path, info, p3, nil, nil); err != nil {
		t.Fatal(err)
	}
	sameBits(t, "weights alone", info, p3, p)
	// As a weight file, the rows of a "half" model stay as they are.
	sameBits(t, "loaded", info, loaded(t, info, path), p)
	if c, err := ReadCheckpointState(path); err != nil || c != state {
		t.Errorf("state %+v, %v", c, err)
	}
}

// TestCheckpointOtherSpec refuses the checkpoint of another specification.
func TestCheckpointOtherSpec(t *testing.T) {
	info := llama(16, 1, 2, 1, 6, 11, 8, true, "half")
	a := randomArena(rand.New(rand.NewPCG(1, 3)), info)
	path := writeCheckpoint(t, info, state, a, a, a)
	other := info
	other.Name, other.SpecHash = "huge", "fedcba98765432100000"
	_, err := ReadCheckpoint(path, other, arena(other), nil, nil)
	var se *SpecError
	if !errors.As(err, &se) {
		t.Fatalf("error %v is no SpecError", err)
	}
	wantError(t, err, path, "another specification (tiny, hash 0123456789ab)", "this is huge, hash fedcba987654")

	// Nor as a weight file, though the shapes are the same.
	wantError(t, Load(other, path, arena(other)), path, "another specification (tiny", "no more of its own than the hash")
}

// TestCheckpointSameModel reads a checkpoint under each spec of the same model,
// and names what differs in another.
func TestCheckpointSameModel(t *testing.T) {
	info := llama(16, 1, 2, 1, 6, 11, 8, true, "half")
	a := randomArena(rand.New(rand.NewPCG(1, 3)), info)
	c := state
	c.Spec = `{"doc":"x","model":{"dim":16,"n_heads":2,"norm_eps":0.00001,"rope":{"theta":10000}},"optim":{"lr":1}}`
	path := writeCheckpoint(t, info, c, a, a, a)
	read := func(spec string) (error, error) {
		other := info
		other.SpecHash, other.SpecJSON, other.SpecFile = "fedc", spec, "mine.jsonnet"
		_, err := ReadCheckpoint(path, other, arena(other), nil, nil)
		return err, Load(other, path, arena(other))
	}
	a1, a2 := read(`{"doc":"y","model":{"dim":16,"head_dim":8,"n_heads":2,"norm_eps":1e-5,"rope":{"theta":1e4}},"optim":{"lr":2}}`)
	if a1 != nil || a2 != nil {
		t.Errorf("the same model: %v, %v", a1, a2)
	}
	a1, a2 = read(`{"model":{"dim":16,"n_heads":4,"norm_eps":1e-6,"rope":{"theta":10000}}}`)
	for _, err := range []error{a1, a2} {
		wantError(t, err, path, "model.n_heads is 2 in the checkpoint (its spec_json) and 4 in mine.jsonnet",
			"model.norm_eps is 1e-05 in the checkpoint", "--set model.n_heads=2 --set model.norm_eps=1e-05 follows the checkpoint")
	}
}

// TestNotFinite reads no numbers that a broken training left.
func TestNotFinite(t *testing.T) {
	info := llama(16, 1, 2, 1, 6, 11, 8, true, "half")
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		for i := range 3 {
			a := [3][]float32{}
			for j := range a {
				a[j] = randomArena(rand.New(rand.NewPCG(1, 3)), info)
			}
			w := &info.Weights[2]
			a[i][w.Offset+3] = float32(x)
			path := writeCheckpoint(t, info, state, a[0], a[1], a[2])
			_, err := ReadCheckpoint(path, info, arena(info), arena(info), arena(info))
			wantError(t, err, path, w.Name+" is ", "at element 3")
			if err := Load(info, path, arena(info)); i == 0 != (err != nil) {
				t.Errorf("loading %v in arena %d: %v", x, i, err)
			}
		}
	}
}

// TestCheckpointDamage flips each byte of a small checkpoint, and cuts it at
// many lengths: never is it accepted.
func TestCheckpointDamage(t *testing.T) {
	info := llama(2, 1, 1, 1, 1, 2, 2, true, "half")
	r := rand.New(rand.NewPCG(1, 4))
	a := randomArena(r, info)
	good := writeCheckpoint(t, info, state, a, a, a)
	b, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "damaged")
	p := arena(info)
	check := func(what string, at int, data []byte) {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := ReadCheckpoint(path, info, p, p, p)
		var fe *FormatError
		if !errors.As(err, &fe) {
			t.Fatalf("%s at %d of %d: error %v is no FormatError", what, at, len(b), err)
		}
		// A cut or changed checkpoint is refused as a weight file as well.
		if at%16 == 0 {
			if err := Load(info, path, p); err == nil {
				t.Fatalf("%s at %d of %d: loaded", what, at, len(b))
			}
		}
	}
	for i := range b {
		d := append([]byte(nil), b...)
		d[i] ^= byte(1 << r.IntN(8))
		check("flip", i, d)
	}
	for n := 0; n < len(b); n += 8 {
		check("cut", n, b[:n])
	}
	check("cut", len(b)-1, b[:len(b)-1])
}
