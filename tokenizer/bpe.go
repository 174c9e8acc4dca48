package tokenizer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
)

// space is how SentencePiece spells a space: U+2581, lower one eighth block.
const space = "▁"

// Bounds on untrusted vocabularies. The largest public ones have 262144 pieces,
// the longest pieces a few hundred bytes (runs of spaces or dashes).
const (
	maxPieces = 1 << 22
	maxPiece  = 1 << 16 // bytes
)

// Kind says what a piece is for. The numbers are those of SentencePiece's
// sentencepiece_model.proto and of GGUF's token types.
type Kind uint8

// The kinds of pieces.
const (
	KindNormal      Kind = 1
	KindUnknown     Kind = 2
	KindControl     Kind = 3 // BOS, EOS: never produced from text
	KindUserDefined Kind = 4 // always one token where it occurs in text
	KindUnused      Kind = 5 // merged, but split again in the result
	KindByte        Kind = 6 // one byte, spelled <0x0A>
)

// Piece is one entry of a vocabulary.
type Piece struct {
	Text  string
	Score float32 // pairs that make the piece of the highest score merge first
	Kind  Kind
}

// Family is the kind of byte-pair encoding.
type Family uint8

// The two families.
const (
	SentencePiece Family = iota // over Unicode characters, spaces as ▁
	ByteLevel                   // over bytes, text cut into words by a pattern first
)

func (f Family) String() string {
	if f == ByteLevel {
		return "byte-level BPE"
	}
	return "SentencePiece BPE"
}

// Config holds the rules beside the vocabulary. The names follow
// SentencePiece's normalizer_spec and trainer_spec.
type Config struct {
	Family            Family
	ByteFallback      bool // unknown characters become byte pieces
	DummyPrefix       bool // a space is put before the text
	RemoveExtraSpaces bool // runs of spaces become one, those at the ends none
	EscapeSpaces      bool // spaces are spelled ▁
	SpaceAsSuffix     bool // the dummy space goes after the text
	UnknownSurface    string
}

// llamaConfig holds the rules of LLaMA's own tokenizer.model.
func llamaConfig() Config {
	return Config{ByteFallback: true, DummyPrefix: true, EscapeSpaces: true, UnknownSurface: " ⁇ "}
}

// BPE is a byte-pair encoding: a vocabulary with rules. It is immutable and
// safe for concurrent use.
type BPE struct {
	cfg    Config
	pieces []Piece
	ids    map[string]int32 // of the pieces that text can become
	bytes  [256]int32       // id of each byte piece, -1 if absent
	unk    int32
	bos    int32
	eos    int32
	hash   string
}

// newBPE checks a vocabulary and builds the tables for it.
func newBPE(pieces []Piece, cfg Config) (*BPE, error) {
	if len(pieces) == 0 {
		return nil, fmt.Errorf("no pieces")
	}
	if len(pieces) > maxPieces {
		return nil, fmt.Errorf("%d pieces, more than %d", len(pieces), maxPieces)
	}
	t := &BPE{cfg: cfg, pieces: pieces, ids: make(map[string]int32, len(pieces)), unk: -1, bos: -1, eos: -1}
	for i := range t.bytes {
		t.bytes[i] = -1
	}
	for i, p := range pieces {
		id := int32(i)
		switch p.Kind {
		case KindUnknown:
			if t.unk >= 0 {
				return nil, fmt.Errorf("piece %d: a second unknown piece", i)
			}
			t.unk = id
		case KindControl:
			switch p.Text {
			case "<s>":
				t.bos = id
			case "</s>":
				t.eos = id
			}
		case KindByte:
			b, ok := byteOfPiece(p.Text)
			if !ok {
				return nil, fmt.Errorf("piece %d: byte piece %q is not of the form <0x0A>", i, p.Text)
			}
			t.bytes[b] = id
		case KindNormal, KindUserDefined, KindUnused:
			if p.Text == "" {
				return nil, fmt.Errorf("piece %d is empty", i)
			}
			if _, dup := t.ids[p.Text]; dup {
				return nil, fmt.Errorf("piece %d: %q is there already", i, p.Text)
			}
			t.ids[p.Text] = id
		default:
			return nil, fmt.Errorf("piece %d: unknown kind %d", i, p.Kind)
		}
	}
	if t.unk < 0 {
		return nil, fmt.Errorf("no unknown piece")
	}
	t.hash = t.computeHash()
	return t, nil
}

// Vocab is the number of pieces.
func (t *BPE) Vocab() int { return len(t.pieces) }

// BOS is the id of <s>, -1 when absent.
func (t *BPE) BOS() int32 { return t.bos }

// EOS is the id of </s>, -1 when absent.
func (t *BPE) EOS() int32 { return t.eos }

// Piece is the vocabulary's spelling of an id.
func (t *BPE) Piece(id int32) string {
	if id < 0 || int(id) >= len(t.pieces) {
		return ""
	}
	return t.pieces[id].Text
}

// Hash identifies vocabulary and rules.
func (t *BPE) Hash() string { return t.hash }

// computeHash hashes a canonical form: every length is written before its
// bytes, so that no two vocabularies share it.
func (t *BPE) computeHash() string {
	h := sha256.New()
	var b []byte
	b = fmt.Appendf(b, "llamac bpe 1 %+v bos %d eos %d\n", t.cfg, t.bos, t.eos)
	for _, p := range t.pieces {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(p.Score))
		b = append(b, byte(p.Kind))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p.Text)))
		b = append(b, p.Text...)
	}
	h.Write(b)
	return hex.EncodeToString(h.Sum(nil))
}

func hashStrings(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// byteOfPiece reads "<0x0A>".
func byteOfPiece(s string) (byte, bool) {
	if len(s) != 6 || s[:3] != "<0x" || s[5] != '>' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[3:5], 16, 8)
	return byte(n), err == nil && bytePiece(byte(n)) == s
}

// bytePiece spells a byte as SentencePiece does.
func bytePiece(b byte) string { return fmt.Sprintf("<0x%02X>", b) }

// allBytes says whether each of the 256 bytes has its piece.
func allBytes(pieces []Piece) bool {
	var seen [256]bool
	n := 0
	for _, p := range pieces {
		if b, ok := byteOfPiece(p.Text); ok && p.Kind == KindByte && !seen[b] {
			seen[b] = true
			n++
		}
	}
	return n == 256
}
