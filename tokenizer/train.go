package tokenizer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"unicode/utf8"
)

// TrainOptions say how a vocabulary is learned. The names follow spm_train's
// flags; LlamaOptions has LLaMA's choices.
type TrainOptions struct {
	VocabSize         int
	CharacterCoverage float64 // part of all characters that get a piece of their own; the rest are unknown
	MaxPieceLength    int     // characters
	MaxLineLength     int     // bytes; longer lines are left out or cut (spm_train's max_sentence_length)

	// CutLongLines learns from lines longer than MaxLineLength, in parts that are
	// cut where a word begins, so that no count differs from that of the whole
	// line; within a word only where it alone is longer. spm_train leaves such
	// lines out, and so nearly all of a text with a line for each document.
	CutLongLines bool

	SplitDigits     bool // each digit is a piece of its own
	SplitByScript   bool // no piece has characters of two scripts
	SplitByNumber   bool // digits count as a script
	SpaceOnlyPieces bool // runs of spaces may become pieces
	ByteFallback    bool // 256 byte pieces stand in for unknown characters
	DummyPrefix     bool // each line is taken to start with a space
	SoftLimit       bool // fewer pieces than VocabSize are no error

	RemoveExtraSpaces bool // runs of spaces count as one

	// CountOverlaps counts the pair aa twice in aaa, as SentencePiece 0.2
	// does; 0.1, with which LLaMA's tokenizer was made, counts it once.
	CountOverlaps bool

	// MaxMemory bounds the memory of training, in bytes; 0 is 4 GiB. A text
	// whose distinct words need more is learned without its rarest words, and
	// the report says how many were dropped.
	MaxMemory int64

	Workers  int            // goroutines that read text; 0 is GOMAXPROCS. The result does not depend on it.
	Progress func(Progress) // called now and then from one goroutine at a time; may be nil
}

// LlamaOptions are the options that LLaMA's tokenizer was trained with, except
// that it saw a sample of 200 million lines. Long lines are left out, as
// there.
func LlamaOptions(vocabSize int) TrainOptions {
	return TrainOptions{
		VocabSize: vocabSize, CharacterCoverage: 0.99995, MaxPieceLength: 16, MaxLineLength: 4192,
		SplitDigits: true, SplitByScript: true, SplitByNumber: true, SpaceOnlyPieces: true,
		ByteFallback: true, DummyPrefix: true,
	}
}

// Progress tells how far training is.
type Progress struct {
	Phase string // "read" in bytes of text, then "merge" in pieces
	Done  int64
	Total int64 // 0 while unknown
	Piece string
	Count int64 // of the piece in the text
}

// TrainReport tells what training met.
type TrainReport struct {
	Bytes        int64 // of text, line ends included
	Lines        int64 // learned from
	LongLines    int64 // longer than MaxLineLength: left out, or cut
	LongBytes    int64 // of those lines
	MarkedLines  int64 // left out, because they hold ▅, SentencePiece's own mark
	Words        int   // distinct
	Characters   int   // that got a piece
	Coverage     float64
	DroppedWords int64 // left out for lack of memory, distinct
	DroppedCount int64 // how often those occurred
}

// Train learns a LLaMA-style vocabulary: SentencePiece's byte-pair encoding
// (Kudo and Richardson 2018). docs yields texts of any length; line ends
// separate the lines that SentencePiece would read. A yielded slice is not
// used after the next one is asked for.
//
// The pieces are those of spm_train with the same options, in the same order.
// Ties are broken as there: of pairs that occur equally often, the one with
// fewer characters comes first, then the one whose text has smaller bytes.
func Train(ctx context.Context, docs iter.Seq2[[]byte, error], opt TrainOptions) (*BPE, error) {
	t, _, err := TrainReported(ctx, docs, opt)
	return t, err
}

// TrainReported is Train with a report.
func TrainReported(ctx context.Context, docs iter.Seq2[[]byte, error], opt TrainOptions) (*BPE, *TrainReport, error) {
	if err := opt.check(); err != nil {
		return nil, nil, err
	}
	report := new(TrainReport)
	// The one pass over the text; everything else works on distinct words.
	words, err := countWords(ctx, docs, &opt, report)
	if err != nil {
		return nil, report, err
	}
	meta := opt.metaPieces()
	chars, err := opt.alphabet(words, report)
	if err != nil {
		return nil, report, err
	}
	// Every piece that is not given is one merge.
	merges := opt.VocabSize - len(meta) - len(chars)
	if merges < 0 {
		return nil, report, fmt.Errorf("%d characters and %d special pieces do not fit a vocabulary of %d: ask for a larger one or for less character coverage",
			len(chars), len(meta), opt.VocabSize)
	}
	// From here on the text is not looked at any more: words and counts have
	// all that matters.
	m := newMerger(words, chars, &opt)
	texts, err := m.run(ctx, merges)
	if err != nil {
		return nil, report, err
	}
	if len(texts) < merges && !opt.SoftLimit {
		return nil, report, fmt.Errorf("the text has only enough for a vocabulary of %d, not %d", opt.VocabSize-merges+len(texts), opt.VocabSize)
	}
	// Characters come last, so that ids of merges stay the same when the text
	// changes a little; all have scores in this order.
	pieces := meta
	for _, c := range chars {
		texts = append(texts, string(c.r))
	}
	for i, text := range texts {
		pieces = append(pieces, Piece{text, -float32(i), KindNormal})
	}
	t, err := newBPE(pieces, opt.config())
	if err != nil {
		return nil, report, err
	}
	t.spec = opt.spec(len(pieces))
	return t, report, nil
}

// check rejects options that make no sense and fills in defaults.
func (o *TrainOptions) check() error {
	switch {
	case o.VocabSize <= 0 || o.VocabSize > maxPieces:
		return fmt.Errorf("a vocabulary of %d pieces", o.VocabSize)
	case !(o.CharacterCoverage > 0 && o.CharacterCoverage <= 1):
		return fmt.Errorf("character coverage of %g, not between 0 and 1", o.CharacterCoverage)
	case o.MaxPieceLength < 1 || o.MaxPieceLength > 512:
		return fmt.Errorf("pieces of up to %d characters, not of 1 to 512", o.MaxPieceLength)
	// Places in a line are stored in 16 bits.
	case o.MaxLineLength < 1 || o.MaxLineLength > 1<<16-2:
		return fmt.Errorf("lines of up to %d bytes, not of 1 to %d", o.MaxLineLength, 1<<16-2)
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.MaxMemory <= 0 {
		o.MaxMemory = 4 << 30
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	return nil
}

// config has the rules of encoding with the vocabulary to be.
func (o *TrainOptions) config() Config {
	return Config{
		ByteFallback: o.ByteFallback, DummyPrefix: o.DummyPrefix, RemoveExtraSpaces: o.RemoveExtraSpaces,
		EscapeSpaces: true, UnknownSurface: defaultUnknown,
	}
}

// metaPieces are the pieces that no text decides on; they get the first ids.
func (o *TrainOptions) metaPieces() []Piece {
	pieces := []Piece{{"<unk>", 0, KindUnknown}, {"<s>", 0, KindControl}, {"</s>", 0, KindControl}}
	for b := 0; b < 256 && o.ByteFallback; b++ {
		pieces = append(pieces, Piece{bytePiece(byte(b)), 0, KindByte})
	}
	return pieces
}

// spec is what the .model will say about its training.
func (o *TrainOptions) spec(vocab int) *modelSpec {
	s := &modelSpec{trainer: defaultTrainerSpec()}
	t := &s.trainer
	t.modelType, t.vocab, t.coverage = 2, vocab, float32(o.CharacterCoverage)
	t.maxSentence, t.maxPieceLength = o.MaxLineLength, o.MaxPieceLength
	t.splitByScript, t.splitByNumber, t.splitDigits = o.SplitByScript, o.SplitByNumber, o.SplitDigits
	t.spaceOnlyPieces, t.byteFallback = o.SpaceOnlyPieces, o.ByteFallback
	s.normalizer = normalizerSpec{name: "identity", dummy: o.DummyPrefix, removeExtra: o.RemoveExtraSpaces, escape: true}
	s.rawTrainer, s.rawNorm = t.marshal(), s.normalizer.marshal()
	return s
}

// charCount is a character and how often it occurs.
type charCount struct {
	r     rune
	count int64
}

// mark is the character that SentencePiece puts in place of unknown ones; lines
// that hold it already are left out.
const mark = '▅'

// boundary stands where special pieces are spelled out in the text. It counts
// as a character, but no piece holds it.
const boundary = '\t'

// alphabet returns the characters that become pieces, most frequent first:
// as many as it takes to cover the wanted part of all characters.
func (o *TrainOptions) alphabet(words []wordCount, report *TrainReport) ([]charCount, error) {
	// Counting ASCII in an array takes most of the work off the map.
	counts := map[rune]int64{}
	var ascii [utf8.RuneSelf]int64
	var all int64
	for _, w := range words {
		for i := 0; i < len(w.text); {
			r, n := rune(w.text[i]), 1
			if r >= utf8.RuneSelf {
				r, n = utf8.DecodeRuneInString(w.text[i:])
				counts[r] += w.count
			} else {
				ascii[r] += w.count
			}
			i += n
		}
	}
	for r, n := range ascii {
		if n > 0 && r != 0 { // zero bytes do not count: no piece can hold one
			if r == ' ' {
				counts['▁'] += n
			} else {
				counts[rune(r)] += n
			}
		}
	}
	chars := make([]charCount, 0, len(counts))
	for r, n := range counts {
		chars = append(chars, charCount{r, n})
		all += n
	}
	if all == 0 {
		if report.LongLines > 0 {
			return nil, fmt.Errorf("no text to learn from: all %d lines are longer than %d bytes", report.LongLines, o.MaxLineLength)
		}
		if report.MarkedLines > 0 {
			return nil, fmt.Errorf("no text to learn from: all %d lines hold %c, the mark of SentencePiece", report.MarkedLines, mark)
		}
		return nil, errors.New("no text to learn from: the input is empty")
	}
	slices.SortFunc(chars, func(a, b charCount) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.r, b.r))
	})
	// Occurrences of the characters taken so far.
	var covered int64
	out := chars[:0]
	for _, c := range chars {
		// In single precision, as SentencePiece compares.
		if float32(float64(covered)/float64(all)) >= float32(o.CharacterCoverage) {
			break
		}
		covered += c.count
		if c.r != boundary {
			out = append(out, c)
		}
	}
	report.Characters, report.Coverage = len(out), float64(covered)/float64(all)
	report.Words = len(words)
	return out, nil
}

// Lines turns texts in memory into what Train reads.
func Lines(texts ...string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, text := range texts {
			if !yield([]byte(text), nil) {
				return
			}
		}
	}
}
