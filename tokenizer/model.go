package tokenizer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// SentencePiece's .model is one protobuf message, ModelProto of
// sentencepiece_model.proto (Kudo 2018). Three of its fields matter here:
//
//	1 pieces           repeated: 1 text, 2 score, 3 kind
//	2 trainer_spec     how the model was trained, some of which rules encoding
//	3 normalizer_spec  what happens to text first
//
// The reader keeps the two specs as they are, so that writing a model that was
// read loses nothing.

// modelSpec is what a .model says beside its pieces.
type modelSpec struct {
	trainer    trainerSpec
	normalizer normalizerSpec
	rawTrainer []byte
	rawNorm    []byte
}

// trainerSpec holds the fields of trainer_spec that Info prints or encoding
// needs; defaults are the protobuf's.
type trainerSpec struct {
	modelType      int // 1 unigram, 2 BPE, 3 word, 4 character
	vocab          int
	coverage       float32 // of characters, 0 to 1
	inputSentences uint64  // lines sampled from the text, 0 for all
	maxSentence    int     // bytes
	maxPieceLength int     // characters

	// What pieces may hold.
	splitByScript   bool // characters of one script only
	splitByNumber   bool // digits count as a script
	splitBySpace    bool // spaces only in front
	splitDigits     bool // single digits only
	spaceOnlyPieces bool // runs of spaces

	// What encoding depends on, too.
	spaceAsSuffix bool // the dummy space goes after the text
	byteFallback  bool // unknown characters become bytes

	// Ids of special pieces, -1 for none, and their spellings.
	unk, bos, eos int
	pad           int
	unkPiece      string
	bosPiece      string
	eosPiece      string
	padPiece      string
	unkSurface    string // the text that <unk> decodes to
}

// defaultTrainerSpec has the values of fields that a file leaves out.
func defaultTrainerSpec() trainerSpec {
	return trainerSpec{
		modelType: 1, vocab: 8000, coverage: 0.9995, maxSentence: 4192, maxPieceLength: 16,
		splitByScript: true, splitByNumber: true, splitBySpace: true,
		unk: 0, bos: 1, eos: 2, pad: -1,
		unkPiece: "<unk>", bosPiece: "<s>", eosPiece: "</s>", padPiece: "<pad>", unkSurface: defaultUnknown,
	}
}

// normalizerSpec holds the fields of normalizer_spec.
type normalizerSpec struct {
	name        string // of a set of rules: "identity", "nmt_nfkc", ...
	charsmap    []byte // those rules, compiled: see charsmap.go
	dummy       bool   // add_dummy_prefix
	removeExtra bool   // remove_extra_whitespaces
	escape      bool   // escape_whitespaces: a space is spelled ▁
}

// ParseModel reads SentencePiece's .model. Only byte-pair encodings are
// supported, not unigram, word and character models.
func ParseModel(name string, data []byte) (*BPE, error) {
	t, err := parseModel(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// parseModel does the work of ParseModel; its errors lack the name.
func parseModel(data []byte) (*BPE, error) {
	// The protobuf's defaults: a file that leaves a field out means these.
	spec := &modelSpec{trainer: defaultTrainerSpec(), normalizer: normalizerSpec{dummy: true, removeExtra: true, escape: true}}
	var pieces []Piece
	err := fields(data, 0, func(f field) error {
		// Fields that are not listed, such as the self-test's, are skipped.
		switch f.number {
		case 1:
			if len(pieces) == maxPieces {
				return f.errorf("more than %d pieces", maxPieces)
			}
			p, err := parsePiece(f)
			if err != nil {
				return err
			}
			pieces = append(pieces, p)
		case 2:
			// Two trainer_specs in one file are one, as protobuf has it; both
			// are kept in the order in which they came.
			spec.rawTrainer = append(spec.rawTrainer, f.bytes...) // repeated messages merge
			return spec.trainer.parse(f)
		case 3:
			spec.rawNorm = append(spec.rawNorm, f.bytes...)
			return spec.normalizer.parse(f)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	tr, no := &spec.trainer, &spec.normalizer
	// The other types need another search altogether.
	if tr.modelType != 2 {
		return nil, fmt.Errorf("a %s model, not a byte-pair encoding", [...]string{"?", "unigram", "BPE", "word", "character"}[min(max(tr.modelType, 0), 4)])
	}
	// Rules of encoding are spread over both specs.
	cfg := Config{
		ByteFallback: tr.byteFallback, DummyPrefix: no.dummy, RemoveExtraSpaces: no.removeExtra,
		EscapeSpaces: no.escape, SpaceAsSuffix: tr.spaceAsSuffix, UnknownSurface: tr.unkSurface,
	}
	t, err := newBPE(pieces, cfg, namedSpecials(tr.bosPiece, tr.eosPiece), withCharsmap(no.charsmap))
	if err != nil {
		return nil, err
	}
	t.spec = spec
	return t, nil
}

// parsePiece reads one piece: text, score and kind.
//
// A field that is left out has its default: kind 1, normal; score 0.
func parsePiece(f field) (Piece, error) {
	p := Piece{Kind: KindNormal}
	err := f.fields(func(f field) error {
		switch f.number {
		case 1:
			// Bounds keep a damaged file from asking for gigabytes.
			p.Text = string(f.bytes)
			if len(p.Text) > maxPiece {
				return f.errorf("a piece of %d bytes, more than %d", len(p.Text), maxPiece)
			}
		case 2:
			p.Score = math.Float32frombits(uint32(f.value))
		case 3:
			// Kinds beyond those of today's .proto could mean anything.
			if f.value > 6 {
				return f.errorf("unknown kind of piece: %d", f.value)
			}
			p.Kind = Kind(f.value)
		}
		return nil
	})
	return p, err
}

// parse reads the fields that matter here; numbers are those of the .proto.
//
// Unknown fields are skipped, and kept in the raw bytes.
func (s *trainerSpec) parse(f field) error {
	return f.fields(func(f field) error {
		on := f.value != 0
		switch f.number {
		// Negative ids are varints of ten bytes, of which the lower half
		// counts.
		case 3:
			s.modelType = int(int32(f.value))
		case 4:
			s.vocab = int(int32(f.value))
		case 10:
			s.coverage = math.Float32frombits(uint32(f.value))
		case 11:
			s.inputSentences = f.value
		case 18:
			s.maxSentence = int(int32(f.value))
		case 20:
			s.maxPieceLength = int(int32(f.value))
		case 21:
			s.splitByScript = on
		case 22:
			s.splitBySpace = on
		case 23:
			s.splitByNumber = on
		case 24:
			s.spaceAsSuffix = on
		case 25:
			s.splitDigits = on
		case 26:
			s.spaceOnlyPieces = on
		case 35:
			s.byteFallback = on
		case 40:
			s.unk = int(int32(f.value))
		case 41:
			s.bos = int(int32(f.value))
		case 42:
			s.eos = int(int32(f.value))
		case 43:
			s.pad = int(int32(f.value))
		case 44:
			s.unkSurface = string(f.bytes)
		case 45:
			s.unkPiece = string(f.bytes)
		case 46:
			s.bosPiece = string(f.bytes)
		case 47:
			s.eosPiece = string(f.bytes)
		case 48:
			s.padPiece = string(f.bytes)
		}
		return nil
	})
}

// parse reads the normalizer: whether spaces are touched, and its table.
func (s *normalizerSpec) parse(f field) error {
	return f.fields(func(f field) error {
		on := f.value != 0
		switch f.number {
		case 1:
			s.name = string(f.bytes)
		case 2:
			s.charsmap = append([]byte(nil), f.bytes...)
		case 3:
			s.dummy = on
		case 4:
			s.removeExtra = on
		case 5:
			s.escape = on
		}
		return nil
	})
}

// WriteModel writes t as SentencePiece's .model. A model that was read from
// one keeps what it said about its training and its normaliser. Only a
// SentencePiece vocabulary can be written.
func WriteModel(w io.Writer, t *BPE) error {
	if t.cfg.Family != SentencePiece || t.hf != nil {
		return errors.New("a .model holds scored SentencePiece vocabularies only, not " + t.kindName())
	}
	// Numbers of fields and wire types are in the comment at the top: 2<<3|5 is
	// field 2, four bytes.
	var out []byte
	// In the order of ids, which the file does not store.
	for _, p := range t.pieces {
		var m []byte
		m = appendBytes(m, 1, []byte(p.Text))
		m = binary.AppendUvarint(m, 2<<3|5)
		m = binary.LittleEndian.AppendUint32(m, math.Float32bits(p.Score))
		// Normal is the protobuf's default, which spm_train leaves out as well:
		// files come out byte for byte.
		if p.Kind != KindNormal {
			m = appendVarint(m, 3, uint64(p.Kind))
		}
		out = appendBytes(out, 1, m)
	}
	trainer, norm := t.rawSpecs()
	out = appendBytes(out, 2, trainer)
	out = appendBytes(out, 3, norm)
	// One write: the file is small.
	_, err := w.Write(out)
	return err
}

// rawSpecs returns trainer_spec and normalizer_spec, made from the rules where
// the vocabulary did not come from a .model.
func (t *BPE) rawSpecs() (trainer, norm []byte) {
	if t.spec != nil {
		return t.spec.rawTrainer, t.spec.rawNorm
	}
	s := defaultTrainerSpec()
	// Type 2 is BPE.
	s.modelType, s.vocab = 2, len(t.pieces)
	s.splitDigits, s.spaceOnlyPieces = true, true // as LLaMA; encoding does not depend on it
	s.byteFallback, s.spaceAsSuffix = t.cfg.ByteFallback, t.cfg.SpaceAsSuffix
	s.unk, s.bos, s.eos = int(t.unk), int(t.bos), int(t.eos)
	s.unkPiece, s.unkSurface = t.pieces[t.unk].Text, t.cfg.UnknownSurface
	// A model without them keeps the spellings that the protobuf has by
	// default.
	if t.bos >= 0 {
		s.bosPiece = t.pieces[t.bos].Text
	}
	if t.eos >= 0 {
		s.eosPiece = t.pieces[t.eos].Text
	}
	n := normalizerSpec{name: "identity", dummy: t.cfg.DummyPrefix, removeExtra: t.cfg.RemoveExtraSpaces, escape: t.cfg.EscapeSpaces}
	return s.marshal(), n.marshal()
}

// marshal writes all fields that parse reads. Defaults are spelled out, so that
// a reader of the file need not know them.
func (s *trainerSpec) marshal() []byte {
	var m []byte
	m = appendVarint(m, 3, uint64(s.modelType))
	m = appendVarint(m, 4, uint64(s.vocab))
	m = binary.AppendUvarint(m, 10<<3|5)
	m = binary.LittleEndian.AppendUint32(m, math.Float32bits(s.coverage))
	m = appendVarint(m, 11, s.inputSentences)
	m = appendVarint(m, 18, uint64(s.maxSentence))
	m = appendVarint(m, 20, uint64(s.maxPieceLength))
	m = appendBool(m, 21, s.splitByScript)
	m = appendBool(m, 22, s.splitBySpace)
	m = appendBool(m, 23, s.splitByNumber)
	m = appendBool(m, 24, s.spaceAsSuffix)
	m = appendBool(m, 25, s.splitDigits)
	m = appendBool(m, 26, s.spaceOnlyPieces)
	m = appendBool(m, 35, s.byteFallback)
	// A negative number is sign-extended to 64 bits, as protobuf has it.
	m = appendVarint(m, 40, uint64(int64(s.unk)))
	m = appendVarint(m, 41, uint64(int64(s.bos)))
	m = appendVarint(m, 42, uint64(int64(s.eos)))
	m = appendVarint(m, 43, uint64(int64(s.pad)))
	m = appendBytes(m, 44, []byte(s.unkSurface))
	m = appendBytes(m, 45, []byte(s.unkPiece))
	m = appendBytes(m, 46, []byte(s.bosPiece))
	m = appendBytes(m, 47, []byte(s.eosPiece))
	return appendBytes(m, 48, []byte(s.padPiece))
}

// marshal writes the fields that parse reads.
func (s *normalizerSpec) marshal() []byte {
	var m []byte
	m = appendBytes(m, 1, []byte(s.name))
	// An empty table says nothing.
	if len(s.charsmap) > 0 {
		m = appendBytes(m, 2, s.charsmap)
	}
	m = appendBool(m, 3, s.dummy)
	m = appendBool(m, 4, s.removeExtra)
	return appendBool(m, 5, s.escape)
}
