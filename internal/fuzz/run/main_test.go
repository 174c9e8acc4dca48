package main

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

// call runs the command with flags, which it sets back.
func call(t *testing.T, flags map[string]string) (failed bool, err error) {
	t.Helper()
	for name, value := range flags {
		f := flag.Lookup(name)
		old := f.Value.String()
		if err := f.Value.Set(value); err != nil {
			t.Fatal(err)
		}
		defer f.Value.Set(old)
	}
	return run()
}

// TestResume checks a range in two calls: the second goes on where the first
// ended, and the counts are those of the whole.
func TestResume(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	counted := func() (k kept) {
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &k)
		}
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	for _, n := range []string{"30", "50", "50"} {
		if failed, err := call(t, map[string]string{"n": n, "from": "7", "workers": "2", "state": file}); failed || err != nil {
			t.Fatalf("-n %s: %v, %v", n, failed, err)
		}
		if n == "30" && counted().Next != 37 {
			t.Errorf("the first part ends at %d", counted().Next)
		}
	}
	if k := counted(); k.Next != 57 || k.Counts["cases"] < 50 || k.Counts["cases"] > 52 { // some again with other weights
		t.Errorf("kept is %+v", k)
	}
	if _, err := call(t, map[string]string{"from": "8", "state": file}); err == nil {
		t.Error("went on with a range that starts elsewhere")
	}
	if _, err := call(t, map[string]string{"kind": "poem"}); err == nil {
		t.Error("took a kind that is not there")
	}
}
