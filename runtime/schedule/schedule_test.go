package schedule

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// near allows a few roundings of the cosine's argument and of the two sums.
func near(got, want, peak float64) bool { return math.Abs(got-want) <= 8*0x1p-53*peak }

func asset(t *testing.T, name string, v any) {
	t.Helper()
	root := os.Getenv("LLAMAC_ASSETS")
	if root == "" {
		t.Skip("LLAMAC_ASSETS not set: " + name)
	}
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

// TestCS336 compares with the schedule vectors of Stanford's CS336, which
// count from 0: entry i is LR(i).
func TestCS336(t *testing.T) {
	var v struct {
		Cosine struct {
			Max      float64   `json:"max_lr"`
			Min      float64   `json:"min_lr"`
			Warmup   int       `json:"warmup_iters"`
			Cycle    int       `json:"cosine_cycle_iters"`
			Expected []float64 `json:"expected"`
		} `json:"cosine_schedule"`
	}
	asset(t, "refs/cs336_vectors.json", &v)
	c := v.Cosine
	s := Cosine{Peak: c.Max, MinRatio: c.Min / c.Max, Warmup: c.Warmup, Decay: c.Cycle}
	if len(c.Expected) != 25 {
		t.Fatalf("%d vectors, want 25", len(c.Expected))
	}
	for i, want := range c.Expected {
		if got := s.LR(i); !near(got, want, s.Peak) {
			t.Errorf("LR(%d) = %v, want %v", i, got, want)
		}
	}
}

// TestReferenceRun compares with the rates of a 20-step PyTorch run whose
// updates count from 1.
func TestReferenceRun(t *testing.T) {
	var v struct {
		Train struct {
			Max    float64 `json:"max_lr"`
			Min    float64 `json:"min_lr"`
			Warmup int     `json:"warmup_iters"`
			Decay  int     `json:"lr_decay_iters"`
			Steps  []struct {
				Iter int     `json:"iter"`
				LR   float64 `json:"lr"`
			} `json:"steps"`
		} `json:"train"`
	}
	asset(t, "refs/ref_stories260K_dev.json", &v)
	r := v.Train
	s := Cosine{Peak: r.Max, MinRatio: r.Min / r.Max, Warmup: r.Warmup, Decay: r.Decay}
	if len(r.Steps) != 20 {
		t.Fatalf("%d steps, want 20", len(r.Steps))
	}
	for _, st := range r.Steps {
		if got := s.LR(st.Iter); !near(got, st.LR, s.Peak) {
			t.Errorf("LR(%d) = %v, want %v", st.Iter, got, st.LR)
		}
	}
}

// TestShape checks the corners and that the rate rises, then falls.
func TestShape(t *testing.T) {
	s := Cosine{Peak: 3e-4, MinRatio: 0.1, Warmup: 2000, Decay: 250000}
	for step, want := range map[int]float64{
		0: 0, 1: 3e-4 / 2000, 1000: 1.5e-4, 2000: 3e-4, 126000: 1.65e-4, 250000: 3e-5, 300000: 3e-5,
	} {
		if got := s.LR(step); !near(got, want, s.Peak) {
			t.Errorf("LR(%d) = %v, want %v", step, got, want)
		}
	}
	for step := 1; step < 250000; step++ {
		a, b := s.LR(step), s.LR(step+1)
		if step < 2000 && b <= a || step >= 2000 && b >= a {
			t.Fatalf("LR(%d) = %v, LR(%d) = %v", step, a, step+1, b)
		}
	}
}

// TestDegenerate checks schedules without a warm-up or without a cosine.
func TestDegenerate(t *testing.T) {
	for _, c := range []struct {
		s    Cosine
		step int
		want float64
	}{
		{Cosine{Peak: 1, MinRatio: 0.1, Decay: 10}, 1, 0.1 + 0.45*(1+math.Cos(math.Pi/10))},
		{Cosine{Peak: 1, MinRatio: 0.1, Decay: 10}, 10, 0.1},
		{Cosine{Peak: 1, MinRatio: 0.1, Warmup: 10, Decay: 5}, 5, 0.5},
		{Cosine{Peak: 1, MinRatio: 0.1, Warmup: 10, Decay: 5}, 10, 1},
		{Cosine{Peak: 1, MinRatio: 0.1, Warmup: 10, Decay: 5}, 11, 0.1},
		{Cosine{Peak: 1, MinRatio: 1, Decay: 1}, 1, 1},
	} {
		if got := c.s.LR(c.step); !near(got, c.want, 1) {
			t.Errorf("%+v.LR(%d) = %v, want %v", c.s, c.step, got, c.want)
		}
	}
}
