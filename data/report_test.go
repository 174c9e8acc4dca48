package data

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestWriteStats(t *testing.T) {
	stats := []SourceStats{
		{Name: "commoncrawl", Train: Counts{10, 8_000_000, 2_000_000}, HeldOut: Counts{1, 40_000, 10_000}, BytesPerToken: 4,
			Share: 0.67, EpochsAsked: 1.1, Sequences: 670, ShareRealised: 0.67, Epochs: 1.1, Duplicates: Counts{Docs: 3}, BadDocs: 2},
		{Name: "c4", Train: Counts{5, 999, 333}, BytesPerToken: 3, Share: 0.33, Sequences: 330, ShareRealised: 0.33, Epochs: 1.06},
	}
	var b bytes.Buffer
	must(t, WriteStats(&b, stats, 60))
	want := strings.TrimPrefix(`
       source  documents      text  tokens  bytes/token  held out     share  realised  epochs  asked
  commoncrawl         10      8 MB     2 M        4.000      10 k   67.000%   67.000%    1.10   1.10
           c4          5     999 B     333        3.000         0   33.000%   33.000%    1.06      -
        total         15  8.001 MB     2 M        4.000      10 k  100.000%  100.000%       -      -
commoncrawl without: 3 duplicates, 2 broken

commoncrawl  asked      67.000% ████████████████████████████
             realised   67.000% ████████████████████████████
c4           asked      33.000% █████████████▊
             realised   33.000% █████████████▊
`, "\n")
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	must(t, WriteStats(&b, stats, 20))
	if strings.Contains(b.String(), "█") {
		t.Errorf("bars are drawn where there is no room:\n%s", b.String())
	}
}

// The numbers of a run are those of its sequences.
func TestStatsOfRun(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	ts := countedSet(rng, 4, 1000, 3000)
	ts.sources[0].share, ts.sources[1].share = 0.25, 0.75
	st, err := ts.open(t, true).Stream(StreamConfig{Context: 10})
	must(t, err)
	s := st.Stats(800)
	if s[0].Sequences != 200 || s[1].Sequences != 600 || s[0].Epochs != 2 || s[1].Epochs != 2 || s[1].ShareRealised != 0.75 {
		t.Errorf("stats are %+v", s)
	}
	if s[0].Train.Tokens != 1000 || s[1].HeldOut.Tokens != 3000/7 {
		t.Errorf("stats are %+v", s)
	}
}

func TestWriteSample(t *testing.T) {
	doc := func(s string) (d testDoc) {
		for _, c := range []byte(s) {
			d.ids = append(d.ids, int32(c))
		}
		return d
	}
	ts := &testSet{vocab: 258, bos: 256, eos: -1, sources: []testSource{
		{name: "a", share: 1, train: []testDoc{doc("one\n\x1b[2J\xff\ufffd"), doc("zwei\t€")}},
	}}
	st, err := ts.open(t, true).Stream(StreamConfig{Context: 22, Seed: 4})
	must(t, err)
	var b bytes.Buffer
	decode := func(dst []byte, ids []int32) []byte {
		for _, id := range ids {
			if id < 256 {
				dst = append(dst, byte(id))
			}
		}
		return dst
	}
	must(t, st.WriteSample(&b, 0, 1, decode))
	got := b.String()
	for _, want := range []string{"═══ sequence 0 · a · 22 tokens · ", "─── a/0:0 ", "─── a/0:1 begins\nzwei\t€", `\u001b[2J\xff` + "\ufffd"} {
		if !strings.Contains(got, want) {
			t.Errorf("sample lacks %q:\n%s", want, got)
		}
	}
}
