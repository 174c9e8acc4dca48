package specs

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestBytes reads sizes in all their forms, and refuses others.
func TestBytes(t *testing.T) {
	load := func(budget string) (*Spec, error) {
		return Load(filepath.Join("tiny_gqa.jsonnet"), Options{Set: []string{"checkpoint.policy=auto", "checkpoint.budget=" + budget}})
	}
	for text, want := range map[string]float64{
		"140000": 140000, "1e9": 1e9, "24GiB": 24 << 30, `"24GiB"`: 24 << 30, "1.5 MiB": 1.5 * (1 << 20), "3KiB": 3072, "0.5TiB": 1 << 39, "1000.9": 1000, "0.0001KiB": 0,
	} {
		s, err := load(text)
		if want == 0 {
			if err == nil {
				t.Errorf("%s: no error for no budget", text)
			}
			continue
		}
		if err != nil || s.Checkpoint.Budget != want {
			t.Errorf("%s: %v, %v, want %v", text, s, err, want)
		}
	}
	for text, want := range map[string]string{
		"24GB": `must be a number of bytes or a size as in "24GiB", not the string "24GB"`, "GiB": "must be a number of bytes", "x KiB": "must be a number of bytes",
		"-1": "must be from 0 to 2^53 bytes", "-1KiB": "must be from 0 to 2^53 bytes", "1e9TiB": "must be from 0 to 2^53 bytes", "NaNKiB": "must be from 0 to 2^53 bytes", "true": "must be a number of bytes",
	} {
		if _, err := load(text); err == nil || !strings.Contains(err.Error(), "--set checkpoint.budget="+text+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
