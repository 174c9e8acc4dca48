package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// asset finds a file of the set that others made, or skips.
func asset(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("LLAMAC_ASSETS")
	if dir == "" {
		t.Skipf("LLAMAC_ASSETS not set: %s", name)
	}
	return filepath.Join(dir, filepath.FromSlash(name))
}

func readAsset(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(asset(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The five vectors of llama2.c's test.c; they start with BOS.
func TestLlama2cVectors(t *testing.T) {
	tok, err := Open(asset(t, "tokenizer/llama/tokenizer.bin"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Text string
		IDs  []int32
	}
	if err := json.Unmarshal(readAsset(t, "tokenizer/llama/llama2c_test_vectors.json"), &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) != 5 {
		t.Fatalf("%d cases, want 5", len(cases))
	}
	for _, c := range cases {
		got := tok.Encode([]int32{tok.BOS()}, []byte(c.Text))
		if !slices.Equal(got, c.IDs) {
			t.Errorf("%q:\n got %v\nwant %v", c.Text, got, c.IDs)
		}
		if back := string(tok.Decode(nil, got)); back != c.Text {
			t.Errorf("decoded %q, want %q", back, c.Text)
		}
	}
}
