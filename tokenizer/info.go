package tokenizer

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Report holds the facts of a tokenizer that `llamac tokenizer info` prints.
// Fields that a format does not know are left out of its text.
// It marshals to JSON as it is; names of fields there stay, since scripts read
// them.
type Report struct {
	File   string `json:"file,omitempty"`
	Bytes  int64  `json:"bytes,omitempty"`
	SHA256 string `json:"sha256,omitempty"` // of the file

	Family string `json:"family"` // "bytes", "SentencePiece BPE", "byte-level BPE"
	Vocab  int    `json:"vocab"`
	Hash   string `json:"hash"` // Tokenizer.Hash
	BOS    int32  `json:"bos"`
	EOS    int32  `json:"eos"`

	// Special pieces, and how many there are of each kind.
	Unknown  int32    `json:"unknown"` // -1 for none
	Control  []IDText `json:"control,omitempty"`
	User     []IDText `json:"user_defined,omitempty"`
	ByteFrom int32    `json:"byte_from"` // first byte piece, -1 for none
	ByteTo   int32    `json:"byte_to"`   // and the last
	Kinds    Kinds    `json:"kinds"`

	// Merges counts the pairs that become a piece. With scores that is every
	// way to put a piece together, with a list it is the list's length.
	Merges  int `json:"merges"`
	Longest int `json:"longest_piece_bytes"`

	// RankScores says that the score of each normal piece is minus its rank,
	// but for those in OtherScores.
	RankScores  bool      `json:"rank_scores"`
	OtherScores []IDScore `json:"other_scores,omitempty"`

	Rules    []Setting `json:"rules"`              // of encoding
	Training []Setting `json:"training,omitempty"` // what a .model says of its training
}

// IDText is a piece with its id.
// Text is its spelling in the vocabulary.
type IDText struct {
	ID   int32  `json:"id"`
	Text string `json:"text"`
}

// IDScore is a piece with its id and score.
type IDScore struct {
	IDText
	Score float32 `json:"score"`
}

// Kinds counts pieces by kind.
type Kinds struct {
	Normal      int `json:"normal"`
	Unknown     int `json:"unknown"`
	Control     int `json:"control"`
	UserDefined int `json:"user_defined"`
	Unused      int `json:"unused"`
	Byte        int `json:"byte"`
}

// Setting is a rule by its name in SentencePiece or in tokenizer.json.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// InfoFile opens a tokenizer and reports on it and on the file.
func InfoFile(path string) (Report, error) {
	t, err := Open(path)
	if err != nil {
		return Report{}, err
	}
	// First what the vocabulary itself says, then the file.
	r := Info(t)
	r.File = path
	st, err := os.Stat(path)
	if err != nil {
		return Report{}, err
	}
	r.Bytes = st.Size()
	// Hashing a file of weights that happens to hold a tokenizer would take
	// minutes, and say nothing about the tokenizer.
	if r.Bytes <= maxFile {
		data, err := os.ReadFile(path)
		if err != nil {
			return Report{}, err
		}
		sum := sha256.Sum256(data)
		r.SHA256 = hex.EncodeToString(sum[:])
	}
	return r, nil
}

// Info reports on a tokenizer.
//
// Ids of kinds that a vocabulary lacks are -1, and 0 is a possible id of each.
func Info(t Tokenizer) Report {
	r := Report{Family: "bytes", Vocab: t.Vocab(), Hash: t.Hash(), BOS: t.BOS(), EOS: t.EOS(), Unknown: -1, ByteFrom: -1, ByteTo: -1}
	// Bytes have neither pieces nor rules to speak of.
	b, ok := t.(*BPE)
	if !ok {
		return r
	}
	r.Family, r.Unknown, r.Merges = b.kindName(), b.unk, b.rules.pairs.used
	// One pass in the order of ids, which lists keep.
	for i, p := range b.pieces {
		id := int32(i)
		r.Longest = max(r.Longest, len(p.Text))
		switch p.Kind {
		case KindNormal:
			// Only these two kinds are listed piece by piece: there are few,
			// and they are what people look for. Bytes have ids that follow
			// each other.
			r.Kinds.Normal++
		case KindUnknown:
			r.Kinds.Unknown++
		case KindControl:
			r.Kinds.Control++
			r.Control = append(r.Control, IDText{id, p.Text})
		case KindUserDefined:
			r.Kinds.UserDefined++
			r.User = append(r.User, IDText{id, p.Text})
		case KindUnused:
			r.Kinds.Unused++
		case KindByte:
			if r.Kinds.Byte == 0 {
				r.ByteFrom = id
			}
			r.Kinds.Byte, r.ByteTo = r.Kinds.Byte+1, id
		}
	}
	// Listed merges have no scores.
	if b.hf == nil {
		r.scores(b)
	}
	r.rules(b)
	if b.spec != nil {
		r.training(&b.spec.trainer)
	}
	return r
}

// scores looks whether scores are ranks, counted from the first normal piece.
//
// LLaMA's scores are ranks with few exceptions, and knowing that is worth more
// than 32,000 numbers.
func (r *Report) scores(t *BPE) {
	const few = 64 // more than this, and scores are no ranks
	// Id of the first normal piece, which ranks are counted from.
	first := -1
	for i, p := range t.pieces {
		if p.Kind != KindNormal {
			continue
		}
		if first < 0 {
			first = i
		}
		if p.Score != float32(first-i) {
			if len(r.OtherScores) == few {
				r.OtherScores = nil
				return
			}
			r.OtherScores = append(r.OtherScores, IDScore{IDText{int32(i), p.Text}, p.Score})
		}
	}
	r.RankScores = first >= 0
}

// onOff prints a flag as SentencePiece spells it.
func onOff(v bool) string {
	if v {
		return "1"
	}
	return "0"
}

// rules lists what decides how text is cut, beside the vocabulary.
func (r *Report) rules(t *BPE) {
	add := func(name, value string) { r.Rules = append(r.Rules, Setting{name, value}) }
	if t.spec != nil {
		add("normalizer", t.spec.normalizer.name)
	} else if t.hf == nil {
		// Hugging Face's files have their own parts, listed below.
		add("normalizer", "identity")
	}
	// Names are those of SentencePiece's flags.
	if t.cfg.Family == SentencePiece {
		// SentencePiece's own switches; byte-level vocabularies have none of
		// them.
		add("add_dummy_prefix", onOff(t.cfg.DummyPrefix))
		add("remove_extra_whitespaces", onOff(t.cfg.RemoveExtraSpaces))
		add("escape_whitespaces", onOff(t.cfg.EscapeSpaces))
		add("byte_fallback", onOff(t.cfg.ByteFallback))
	}
	if t.hf == nil {
		return
	}
	// In the order in which they are applied.
	for _, z := range t.hf.normalizers {
		add("normalizer", z.key)
	}
	for _, s := range t.hf.steps {
		add("pre_tokenizer", s.name())
	}
	if t.cfg.Family == ByteLevel {
		add("ignore_merges", onOff(t.hf.ignoreMerges))
	}
	add("added_tokens", fmt.Sprint(len(t.hf.added)))
}

// training lists what a .model says of how it was made; encoding does not
// depend on it.
// Two models with different values here may well be the same vocabulary.
func (r *Report) training(s *trainerSpec) {
	add := func(name string, value any) { r.Training = append(r.Training, Setting{name, fmt.Sprint(value)}) }
	add("split_digits", onOff(s.splitDigits))
	add("allow_whitespace_only_pieces", onOff(s.spaceOnlyPieces))
	add("split_by_unicode_script", onOff(s.splitByScript))
	add("split_by_number", onOff(s.splitByNumber))
	add("split_by_whitespace", onOff(s.splitBySpace))
	add("character_coverage", s.coverage)
	add("max_sentencepiece_length", s.maxPieceLength)
	add("max_sentence_length", s.maxSentence)
	add("input_sentence_size", s.inputSentences)
	add("pad_id", s.pad)
	add("unk_surface", fmt.Sprintf("%q", s.unkSurface))
}

// String prints the report, one fact a line.
func (r Report) String() string {
	var s strings.Builder
	// Names are padded to the longest of them.
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&s, "%-30s"+format+"\n", append([]any{name}, args...)...)
	}
	if r.File != "" {
		line("file", "%s", r.File)
		line("bytes", "%d", r.Bytes)
	}
	if r.SHA256 != "" {
		line("sha256", "%s", r.SHA256)
	}
	// Names stand in one column, so that facts can be read down the page and cut
	// out with awk.
	line("family", "%s", r.Family)
	line("vocabulary", "%d pieces", r.Vocab)
	k := r.Kinds
	if r.Unknown >= 0 {
		line("  unknown", "%d (id %d)", k.Unknown, r.Unknown)
	}
	// list shows a kind with its first few pieces.
	list := func(name string, n int, of []IDText) {
		if n == 0 {
			return
		}
		var texts []string
		for i, p := range of {
			if i == 8 {
				texts = append(texts, "...")
				break
			}
			texts = append(texts, fmt.Sprintf("%s %d", p.Text, p.ID))
		}
		line("  "+name, "%d (%s)", n, strings.Join(texts, ", "))
	}
	list("control", k.Control, r.Control)
	list("user defined", k.UserDefined, r.User)
	if k.Byte > 0 {
		line("  byte", "%d (ids %d..%d)", k.Byte, r.ByteFrom, r.ByteTo)
	}
	if k.Unused > 0 {
		line("  unused", "%d", k.Unused)
	}
	line("  normal", "%d", k.Normal)
	line("merges", "%d", r.Merges)
	line("longest piece", "%d bytes", r.Longest)
	line("BOS, EOS", "%d, %d", r.BOS, r.EOS)
	if r.RankScores {
		line("scores", "-(rank)%s", r.exceptions())
	}
	for _, set := range [][]Setting{r.Rules, r.Training} {
		for _, v := range set {
			line(v.Name, "%s", v.Value)
		}
	}
	line("hash", "%s", r.Hash)
	return s.String()
}

// exceptions lists the pieces whose score is not their rank, short ones first.
func (r Report) exceptions() string {
	const shown = 4
	pieces := slices.Clone(r.OtherScores)
	// Stable: pieces of one length keep the order of ids.
	slices.SortStableFunc(pieces, func(a, b IDScore) int { return cmp.Compare(len(a.Text), len(b.Text)) })
	s := ""
	for i, p := range pieces {
		if i == shown {
			s += fmt.Sprintf(" and %d more", len(pieces)-shown)
			break
		}
		s += fmt.Sprintf(", %s (%d) at %g", p.Text, p.ID, p.Score)
	}
	// The list begins with a comma, which becomes the word.
	return strings.Replace(s, ",", ", except", 1)
}
