package data

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestWarnings(t *testing.T) {
	ts := countedSet(rand.New(rand.NewPCG(1, 5)), 0, 100, 100)
	set := ts.open(t, true)
	set.Manifest.Validation = 0.1
	if st, err := set.Stream(StreamConfig{Context: 28}); err != nil || len(st.Warnings(10)) != 1 || !strings.HasPrefix(st.Warnings(10)[0], "only 28 tokens are held out, less than one sequence of 28") {
		t.Errorf("too little text: %v", err)
	}
	if st, err := set.Stream(StreamConfig{Context: 27}); err != nil || st.Warnings(10) != nil {
		t.Errorf("just enough text: %v", err)
	}
	ts.sources[0].val, ts.sources[1].val = nil, nil
	set = ts.open(t, true)
	set.Manifest.Validation = 0.1
	warn := func(share float64, sequences int64) string {
		st, err := set.Stream(StreamConfig{Context: 8, Shares: map[string]float64{"a": 1, "b": share}})
		must(t, err)
		return strings.Join(st.Warnings(sequences), "; ")
	}
	if got := warn(1, 10); !strings.Contains(got, "0 tokens are held out") || strings.Contains(got, "share") {
		t.Errorf("without held-out text: %q", got)
	}
	if got := warn(1e-4, 10); !strings.Contains(got, `source "b" has a share of`) {
		t.Errorf("a source that is not drawn: %q", got)
	}
	set.Manifest.Validation = 0
	if got := warn(1, 10); got != "" {
		t.Errorf("without a wish for validation: %q", got)
	}
	_, err := set.Stream(StreamConfig{Context: 8, Shares: map[string]float64{"a": 1, "b": 1e-9}})
	if err == nil || !strings.Contains(err.Error(), `source "b" has a share of 1e-09, too small to be drawn: the smallest is 1 of 131072`) {
		t.Errorf("error is %v", err)
	}
	if err := CheckShares([]string{"a", "b"}, []float64{1, 1e-5}); err != nil {
		t.Error(err)
	}
}
