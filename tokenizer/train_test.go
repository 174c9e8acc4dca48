package tokenizer

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// comparePieces compares a trained vocabulary with what spm_train made.
func comparePieces(t *testing.T, got *BPE, want Tokenizer) {
	t.Helper()
	bad := 0
	for id := range max(got.Vocab(), want.Vocab()) {
		g, w := got.Piece(int32(id)), want.Piece(int32(id))
		if g != w {
			if bad++; bad < 6 {
				t.Errorf("piece %d: %q, want %q", id, g, w)
			}
		}
	}
	if bad > 0 {
		t.Errorf("%d of %d pieces differ", bad, want.Vocab())
		return
	}
	if b, ok := want.(*BPE); ok && !slices.Equal(got.pieces, b.pieces) {
		t.Error("scores or kinds differ")
	}
}

func mustTrain(t testing.TB, opt TrainOptions, texts ...string) *BPE {
	t.Helper()
	tok, err := Train(context.Background(), Lines(texts...), opt)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// The pieces that spm_train made of testdata/corpus.txt: see make_golden.py.
func TestTrainGolden(t *testing.T) {
	data, err := os.ReadFile("testdata/corpus.txt")
	if err != nil {
		t.Fatal(err)
	}
	opts := map[string]TrainOptions{}
	opt := LlamaOptions(1200)
	opt.CharacterCoverage = 0.9995
	opts["llama"] = opt
	opt.CountOverlaps = true
	opts["overlaps"] = opt
	opts["plain"] = TrainOptions{VocabSize: 1000, CharacterCoverage: 1, MaxPieceLength: 6, MaxLineLength: 60, SplitByScript: true,
		RemoveExtraSpaces: true, DummyPrefix: true}
	opt = LlamaOptions(1000)
	opt.CharacterCoverage, opt.SplitByScript, opt.DummyPrefix = 0.9995, false, false
	opts["scripts"] = opt
	for name, opt := range opts {
		t.Run(name, func(t *testing.T) {
			want, err := Open("testdata/train_" + name + ".model")
			if err != nil {
				t.Fatal(err)
			}
			comparePieces(t, mustTrain(t, opt, string(data)), want)
		})
	}
}

// The models that spm_train 0.1.97 made of a novel.
func TestTrainBotchan(t *testing.T) {
	text := string(readAsset(t, "tokenizer/train/botchan.txt"))
	opt := LlamaOptions(1000)
	opt.CharacterCoverage, opt.RemoveExtraSpaces = 1, true
	comparePieces(t, mustTrain(t, opt, text), openAsset(t, "tokenizer/train/botchan_bpe1000.model"))

	opt = LlamaOptions(4096)
	opt.CharacterCoverage, opt.SplitDigits, opt.RemoveExtraSpaces = 0.9995, false, true
	comparePieces(t, mustTrain(t, opt, strings.Split(text, "\n")...), openAsset(t, "tokenizer/train/botchan_bpe4096_nodigits.model"))
}

// spmTrain runs spm_train with the same options.
func spmTrain(t testing.TB, text string, o TrainOptions) *BPE {
	t.Helper()
	program := oracle(t, "spm_train")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "text"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--input=text", "--model_prefix=x", "--model_type=bpe", "--normalization_rule_name=identity",
		fmt.Sprintf("--vocab_size=%d", o.VocabSize), fmt.Sprintf("--character_coverage=%g", o.CharacterCoverage),
		fmt.Sprintf("--max_sentencepiece_length=%d", o.MaxPieceLength), fmt.Sprintf("--max_sentence_length=%d", o.MaxLineLength),
		fmt.Sprintf("--split_digits=%v", o.SplitDigits), fmt.Sprintf("--split_by_unicode_script=%v", o.SplitByScript),
		fmt.Sprintf("--split_by_number=%v", o.SplitByNumber), fmt.Sprintf("--allow_whitespace_only_pieces=%v", o.SpaceOnlyPieces),
		fmt.Sprintf("--byte_fallback=%v", o.ByteFallback), fmt.Sprintf("--add_dummy_prefix=%v", o.DummyPrefix),
		fmt.Sprintf("--hard_vocab_limit=%v", !o.SoftLimit), fmt.Sprintf("--remove_extra_whitespaces=%v", o.RemoveExtraSpaces),
		"--self_test_sample_size=0", "--num_threads=1", "--minloglevel=2")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("spm_train: %v\n%.2000s", err, out)
	}
	tok, err := Open(filepath.Join(dir, "x.model"))
	if err != nil {
		t.Fatal(err)
	}
	return tok.(*BPE)
}

// English, Japanese and source code, against the real thing.
func TestTrainCorpora(t *testing.T) {
	oracle(t, "spm_train")
	for _, c := range []struct {
		name  string
		vocab int
		text  func(t *testing.T) string
	}{
		{"english", 4000, func(t *testing.T) string { return string(readAsset(t, "text/wikipedia/wikitext2_valid.txt")[:600_000]) }},
		{"japanese", 3000, func(t *testing.T) string { return string(flores(t, "jpn_Jpan")) + udhr(t, "jpn") }},
		{"code", 4000, func(t *testing.T) string { return string(goSource(t, 600_000)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := c.text(t)
			opt := LlamaOptions(c.vocab)
			comparePieces(t, mustTrain(t, opt, text), spmTrain(t, text, opt))
		})
	}
}

// Small random texts of few characters: equal counts, runs, two ways to spell
// the same piece, pairs that no longer occur.
func TestTrainRandom(t *testing.T) {
	oracle(t, "spm_train")
	rng := rand.New(rand.NewPCG(7, 8))
	for n := range 25 {
		text := randomCorpus(rng)
		opt := LlamaOptions(3 + 40 + rng.IntN(80))
		opt.ByteFallback, opt.SoftLimit, opt.CharacterCoverage = false, true, 1-0.02*rng.Float64()*float64(n%2)
		opt.MaxPieceLength = 2 + rng.IntN(15)
		opt.SplitDigits, opt.SpaceOnlyPieces, opt.SplitByScript = rng.IntN(2) == 0, rng.IntN(2) == 0, rng.IntN(2) == 0
		opt.DummyPrefix, opt.RemoveExtraSpaces, opt.SplitByNumber = rng.IntN(2) == 0, rng.IntN(2) == 0, rng.IntN(2) == 0
		comparePieces(t, mustTrain(t, opt, text), spmTrain(t, text, opt))
		if t.Failed() {
			t.Fatalf("text %d, %+v\n%.500q", n, opt, text)
		}
	}
}

// Where SentencePiece's pieces differ, it is by its own rule for ties: every 100
// pieces it picks the 5% of all pairs (at least 1000) that occur most, and until
// the next time considers only these and newer ones. Of the pairs that occur
// exactly as often as the last one picked, some are in and some are not, as
// they happen to lie in its hash table. Train considers all of them. So the two
// can only part where the best pair occurs no more often than the last one
// picked, which takes a vocabulary too large for the text.
func TestTrainTies(t *testing.T) {
	oracle(t, "spm_train")
	t.Run("corpus", func(t *testing.T) {
		data, err := os.ReadFile("testdata/corpus.txt")
		if err != nil {
			t.Fatal(err)
		}
		checkTies(t, string(data), 5000)
	})
	t.Run("botchan", func(t *testing.T) { checkTies(t, string(readAsset(t, "tokenizer/train/botchan.txt")), 9000) })
}

func checkTies(t *testing.T, text string, vocab int) {
	opt := LlamaOptions(vocab)
	opt.CharacterCoverage, opt.SoftLimit = 0.9995, true
	want := spmTrain(t, text, opt)
	if err := opt.check(); err != nil {
		t.Fatal(err)
	}
	words, err := countWords(context.Background(), Lines(text), &opt, new(TrainReport))
	if err != nil {
		t.Fatal(err)
	}
	chars, err := opt.alphabet(words, new(TrainReport))
	if err != nil {
		t.Fatal(err)
	}
	var count int64
	opt.Progress = func(p Progress) { count = p.Count }
	m := newMerger(words, chars, &opt)
	counts := map[string]int64{}
	first := len(opt.metaPieces())
	merges := opt.VocabSize - first - len(chars)
	var cut, cutThen int64
	parted := ""
	for i := range merges {
		if i%100 == 0 {
			cut = lastPicked(m, len(chars))
		}
		texts, err := m.run(context.Background(), 1)
		if err != nil || len(texts) == 0 {
			t.Fatalf("piece %d: %v", i, err)
		}
		counts[texts[0]] = count
		if parted == "" && texts[0] != want.Piece(int32(first+i)) {
			if count > cut {
				t.Fatalf("piece %d is %q, which occurs %d times and is among the pairs picked: want %q", i, texts[0], count, want.Piece(int32(first+i)))
			}
			parted, cutThen = texts[0], count
			t.Logf("piece %d: %q instead of %q; both occur %d times, the last pair picked %d times", i, texts[0], want.Piece(int32(first+i)), count, cut)
			defer func(other string) {
				if counts[other] != cutThen {
					t.Errorf("%q occurs %d times, not %d", other, counts[other], cutThen)
				}
			}(want.Piece(int32(first + i)))
		}
	}
	if parted == "" {
		t.Error("no difference: the text is too large to show one")
	}
}

// lastPicked is how often the last pair occurs that SentencePiece would pick.
func lastPicked(m *merger, chars int) int64 {
	var counts []int64
	for _, p := range m.pairs {
		if !p.dead {
			counts = append(counts, p.count)
		}
	}
	slices.Sort(counts)
	n := min(max(1000, (len(counts)+chars)/20), len(counts))
	return counts[len(counts)-n]
}

func randomCorpus(rng *rand.Rand) string {
	units := []string{"a", "b", "a", "ab", "aa", "c", " ", "  ", "1", "23", "é", "я", "日", "カ", "ー", "の", "\u0301", "-", "--", "\t", "<s>", "<0x41>", "▁", "１"}
	units = units[:4+rng.IntN(len(units)-3)]
	var s strings.Builder
	for range 20 + rng.IntN(200) {
		for range rng.IntN(25) {
			s.WriteString(units[rng.IntN(len(units))])
		}
		s.WriteByte('\n')
	}
	s.WriteString("a b\n")
	return s.String()
}

// What is learned does not depend on how the text is cut into documents, nor on
// the number of workers.
func TestTrainWorkers(t *testing.T) {
	data, err := os.ReadFile("testdata/corpus.txt")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat(string(data), 40) // several batches
	opt := LlamaOptions(700)
	opt.CharacterCoverage = 0.99
	var hashes []string
	for _, workers := range []int{1, 2, 5} {
		opt.Workers = workers
		hashes = append(hashes, mustTrain(t, opt, strings.SplitAfter(text, "\n")[:100*workers]...).Hash()[:0]+mustTrain(t, opt, text).Hash())
		half := strings.LastIndexByte(text[:len(text)/2], '\n') + 1
		hashes = append(hashes, mustTrain(t, opt, text[:half], text[half:]).Hash())
	}
	if slices.Sort(hashes); hashes[0] != hashes[len(hashes)-1] {
		t.Errorf("different vocabularies: %v", hashes)
	}
}

// With too little memory the rarest words are left out and counted.
func TestTrainMemory(t *testing.T) {
	data, err := os.ReadFile("testdata/corpus.txt")
	if err != nil {
		t.Fatal(err)
	}
	opt := LlamaOptions(600)
	opt.CharacterCoverage, opt.MaxMemory = 0.99, 200<<10
	var first string
	for _, workers := range []int{1, 3} {
		opt.Workers = workers
		tok, report, err := TrainReported(context.Background(), Lines(string(data)), opt)
		if err != nil {
			t.Fatal(err)
		}
		if report.DroppedWords == 0 || report.DroppedCount < report.DroppedWords {
			t.Errorf("%d words dropped, %d times", report.DroppedWords, report.DroppedCount)
		}
		if first == "" {
			first = tok.Hash()
		}
		if tok.Hash() != first {
			t.Error("the result depends on the number of workers")
		}
	}
}

// A text with a line for each document gives the vocabulary that it gives with
// the limit out of the way, whatever the limit is, as long as words fit.
func TestLongLinesAreCut(t *testing.T) {
	data, err := os.ReadFile("testdata/corpus.txt")
	if err != nil {
		t.Fatal(err)
	}
	var text string
	// The mark leaves out a line, which here would be 300.
	for lines := range slices.Chunk(strings.Split(strings.ReplaceAll(string(data), string(mark), ""), "\n"), 300) {
		text += strings.Join(lines, "  ") + "\n"
	}
	for name, change := range map[string]func(*TrainOptions){
		"llama":                 func(*TrainOptions) {},
		"no prefix":             func(o *TrainOptions) { o.DummyPrefix = false },
		"extra spaces":          func(o *TrainOptions) { o.RemoveExtraSpaces = true },
		"extra spaces, and not": func(o *TrainOptions) { o.RemoveExtraSpaces, o.SpaceOnlyPieces = true, false },
	} {
		opt := LlamaOptions(900)
		opt.CharacterCoverage = 0.999
		change(&opt)
		opt.MaxLineLength = 60000
		want := mustTrain(t, opt, text)
		opt.CutLongLines = true
		for _, most := range []int{300, 1000, 4192} {
			opt.MaxLineLength = most
			got, report, err := TrainReported(context.Background(), Lines(text), opt)
			if err != nil {
				t.Fatal(err)
			}
			comparePieces(t, got, want)
			if t.Failed() {
				t.Fatalf("%s, lines of %d bytes", name, most)
			}
			if report.LongLines < 3 || report.LongBytes < report.Bytes/2 {
				t.Errorf("%d lines of %d bytes are reported as long", report.LongLines, report.LongBytes)
			}
		}
	}
	// A word that does not fit is cut between characters.
	for _, text := range []string{strings.Repeat("語", 100), strings.Repeat("é", 100), strings.Repeat("\x80", 100), "x" + strings.Repeat(" ", 100)} {
		for line := []byte(text); len(line) > 0; {
			part, rest, _ := cutLine(line, 10)
			if len(part) == 0 || len(part) > 10 || len(rest) > 0 && text[0] != 0x80 && !utf8.Valid(part) {
				t.Fatalf("%q is cut to %q", line, part)
			}
			line = rest
		}
	}
}

func TestTrainErrors(t *testing.T) {
	failing := func(yield func([]byte, error) bool) {
		_ = yield([]byte("text\n"), nil) && yield(nil, os.ErrPermission)
	}
	opt := LlamaOptions(400)
	if _, err := Train(context.Background(), failing, opt); err != os.ErrPermission {
		t.Errorf("%v, want the source's error", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Train(ctx, Lines("text"), opt); err != context.Canceled {
		t.Errorf("%v, want context.Canceled", err)
	}
	for _, c := range []struct {
		text, want string
		change     func(*TrainOptions)
	}{
		{"", "no text to learn from", nil},
		{"▅", "no text to learn from: all 1 lines hold ▅", nil},
		{strings.Repeat("long ", 1000), "no text to learn from: all 1 lines are longer than 4192 bytes", nil},
		{"abc", "the text has only enough for a vocabulary of 269, not 400", nil},
		{"abc", "4 characters and 259 special pieces do not fit a vocabulary of 260", func(o *TrainOptions) { o.VocabSize = 260 }},
		{"abc", "a vocabulary of 0 pieces", func(o *TrainOptions) { o.VocabSize = 0 }},
		{"abc", "character coverage of 2", func(o *TrainOptions) { o.CharacterCoverage = 2 }},
	} {
		o := opt
		if c.change != nil {
			c.change(&o)
		}
		if _, err := Train(context.Background(), Lines(c.text), o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want %q", c.text, err, c.want)
		}
	}
}

// A trained model survives writing and reading in every format.
func TestTrainedFormats(t *testing.T) {
	data, err := os.ReadFile("testdata/corpus.txt")
	if err != nil {
		t.Fatal(err)
	}
	opt := LlamaOptions(800)
	opt.CharacterCoverage = 0.999
	tok := mustTrain(t, opt, string(data))
	checkFormats(t, tok, strings.Split(string(data), "\n")[:200])
	var b bytes.Buffer
	if err := WriteModel(&b, tok); err != nil {
		t.Fatal(err)
	}
	again, err := Parse("x", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := again.(*BPE).spec.trainer, tok.spec.trainer; got != want {
		t.Errorf("trainer_spec comes back as %+v, was %+v", got, want)
	}
}
