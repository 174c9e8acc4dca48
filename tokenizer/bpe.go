package tokenizer

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// space is how SentencePiece spells a space: U+2581, lower one eighth block.
const space = "▁"

// Bounds on untrusted vocabularies. The largest public ones have 262144 pieces,
// the longest pieces a few hundred bytes (runs of spaces or dashes).
const (
	maxPieces     = 1 << 22
	maxPiece      = 2048     // bytes
	maxVocabBytes = 64 << 20 // of all pieces together
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

// String names the family as Info prints it.
func (f Family) String() string {
	if f == ByteLevel {
		return "byte-level BPE"
	}
	return "SentencePiece BPE"
}

// Config holds the rules beside the vocabulary. The names follow
// SentencePiece's normalizer_spec and trainer_spec.
// It is the whole of what ids depend on beside pieces and merges, and is part
// of the hash.
//
// Two files that agree in all of it, and in their pieces and merges, give the
// same ids for every text.
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
	return Config{ByteFallback: true, DummyPrefix: true, EscapeSpaces: true, UnknownSurface: defaultUnknown}
}

// defaultUnknown is the text of the unknown piece where a model names none.
const defaultUnknown = " ⁇ "

// BPE is a byte-pair encoding: a vocabulary with rules. It is immutable and
// safe for concurrent use.
//
// Tables are built once; what changes while encoding is in states, of which
// each encoding takes one.
type BPE struct {
	cfg     Config
	pieces  []Piece
	unk     int32
	bos     int32
	eos     int32
	putsBOS bool   // a tokenizer.json puts BOS before every text
	bosName string // how BOS and EOS are spelled
	eosName string
	bytes   [256]int32 // id of each byte piece, -1 if absent

	// Normalising.
	user      trie      // user-defined pieces as merging meets them; no cells if there are none
	rawUser   trie      // and as they are spelled in text that is not normalised yet
	chars     *charsmap // nil for none
	charsHash string

	// Encoding.
	rules        rules
	emit         map[int32]int32    // the ids of symbols that are none themselves; nil if there are no such symbols
	split        map[int32][2]int32 // symbols that are taken apart in the result: see WithoutSpecials
	unused       bool               // there are unused pieces
	keepUnknowns bool               // a run of unknown characters is as many unknown pieces
	hf           *pipeline          // of vocabularies with listed merges

	// Decoding.
	texts   []string // what each id says
	byteOf  []int16  // the byte of a byte piece, -1 for other pieces
	special []bool   // ids without text
	// Of vocabularies with listed merges: the decoder puts bytes together.
	decodesBytes bool

	spec *modelSpec // what a .model said, nil otherwise
	hash func() string

	mu   sync.Mutex
	idle []*state // memory of encodings that are not in progress
}

// An option changes what newBPE builds.
//
// Options run before pieces are checked, as some of them say what to look for.
type option func(*BPE) error

// namedSpecials says how BOS and EOS are spelled.
func namedSpecials(bos, eos string) option {
	return func(t *BPE) error {
		t.bosName, t.eosName = bos, eos
		return nil
	}
}

// withCharsmap gives the normaliser a table of replacements, unless it is empty.
func withCharsmap(data []byte) option {
	return func(t *BPE) (err error) {
		if len(data) > 0 {
			t.charsHash = hashStrings(string(data))
			t.chars, err = parseCharsmap(data)
		}
		return err
	}
}

// newBPE checks a SentencePiece vocabulary and builds its tables.
func newBPE(pieces []Piece, cfg Config, options ...option) (*BPE, error) {
	t := &BPE{cfg: cfg, pieces: pieces, unk: -1, bos: -1, eos: -1, bosName: "<s>", eosName: "</s>"}
	for _, o := range options {
		if err := o(t); err != nil {
			return nil, err
		}
	}
	if err := t.checkPieces(); err != nil {
		return nil, err
	}
	// SentencePiece wants one even where bytes stand in for all unknown
	// characters.
	if t.unk < 0 {
		return nil, fmt.Errorf("no unknown piece")
	}
	// Without all of them some text would have no ids.
	if cfg.ByteFallback {
		for b, id := range t.bytes {
			if id < 0 {
				return nil, fmt.Errorf("byte fallback without piece %s", bytePiece(byte(b)))
			}
		}
	}
	if err := t.scoredRules(); err != nil {
		return nil, err
	}
	t.finish()
	return t, nil
}

// checkPieces checks what all families share and finds the special pieces.
func (t *BPE) checkPieces() error {
	if len(t.pieces) == 0 {
		return fmt.Errorf("no pieces")
	}
	if len(t.pieces) > maxPieces {
		return fmt.Errorf("%d pieces, more than %d", len(t.pieces), maxPieces)
	}
	// 0 is a piece like any other, so -1 stands for none.
	for i := range t.bytes {
		t.bytes[i] = -1
	}
	// Lengths are bounded one by one and together: tables take a few dozen bytes
	// for each byte of a piece.
	total := 0
	for i, p := range t.pieces {
		id := int32(i)
		total += len(p.Text)
		if len(p.Text) > maxPiece || total > maxVocabBytes {
			return fmt.Errorf("piece %d: pieces are longer than %d bytes or %d together", i, maxPiece, maxVocabBytes)
		}
		// NaN cannot be ordered.
		if p.Score != p.Score {
			return fmt.Errorf("piece %d: the score of %q is not a number", i, p.Text)
		}
		switch p.Kind {
		case KindUnknown:
			// Which of the two should stand for unknown text nobody could say.
			if t.unk >= 0 {
				return fmt.Errorf("piece %d: %q is a second unknown piece, after %d", i, p.Text, t.unk)
			}
			t.unk = id
		// Only control pieces can be BOS and EOS: a normal piece of that
		// spelling is text.
		case KindControl:
			switch p.Text {
			case t.bosName:
				t.bos = id
			case t.eosName:
				t.eos = id
			}
		case KindByte:
			b, ok := byteOfPiece(p.Text)
			if !ok {
				return fmt.Errorf("piece %d: byte piece %q is not of the form <0x0A>", i, p.Text)
			}
			t.bytes[b] = id
		// Nothing can be found in text by an empty spelling.
		case KindNormal, KindUserDefined, KindUnused:
			if p.Text == "" {
				return fmt.Errorf("piece %d is empty", i)
			}
		default:
			return fmt.Errorf("piece %d: %q has unknown kind %d", i, p.Text, p.Kind)
		}
	}
	return nil
}

// scoredRules builds the merges as SentencePiece defines them: any two
// neighbours merge that together spell a piece, best score first.
func (t *BPE) scoredRules() error {
	r := &t.rules
	r.text = make([]string, len(t.pieces))
	var user, rawUser []trieKey
	var scores []float32
	reserved := map[string]int32{} // SentencePiece looks these up before other pieces
	for i, p := range t.pieces {
		id := int32(i)
		switch p.Kind {
		// Control pieces and the like are looked up by their spelling before
		// normal ones: see emitAs.
		case KindNormal, KindUnused:
			scores = append(scores, p.Score)
			t.unused = t.unused || p.Kind == KindUnused
			// Normalised text is valid UTF-8 without plain spaces: other
			// pieces are never met.
			if utf8.ValidString(p.Text) && !(t.cfg.EscapeSpaces && strings.Contains(p.Text, " ")) {
				r.text[i] = t.internal(p.Text)
			}
		case KindUserDefined:
			rawUser = append(rawUser, trieKey{p.Text, id})
			if !t.cfg.EscapeSpaces || !strings.Contains(p.Text, " ") {
				user = append(user, trieKey{t.internal(p.Text), id})
			}
		default:
			if before, dup := reserved[p.Text]; dup {
				return fmt.Errorf("piece %d: %q is piece %d already", i, p.Text, before)
			}
			reserved[p.Text] = id
		}
	}
	if len(rawUser) > 0 {
		t.user, t.rawUser = newTrie(user), newTrie(rawUser)
	}
	// With the trie at hand, a piece that is there twice shows itself: it finds
	// its double.
	t.loneChars(reserved)
	r.index()
	for i, p := range t.pieces {
		if s := r.trie.find(r.text[i]); r.text[i] != "" && s != int32(i) {
			return fmt.Errorf("piece %d: %q is piece %d already", s, p.Text, i)
		}
		if t.rawUser.cells != nil && (p.Kind == KindNormal || p.Kind == KindUnused || p.Kind == KindUserDefined) {
			if s := t.rawUser.find(p.Text); s >= 0 && s != int32(i) {
				return fmt.Errorf("piece %d: %q is piece %d already", max(s, int32(i)), p.Text, min(s, int32(i)))
			}
		}
	}
	// Ranks count distinct scores, best first.
	slices.SortFunc(scores, func(a, b float32) int { return cmp.Compare(b, a) })
	// Equal scores have equal ranks: then the leftmost pair merges first.
	scores = slices.Compact(scores)
	// A piece has as many pairs as ways to cut it in two.
	r.pairs = newPairTable(2 * len(t.pieces))
	for i, p := range t.pieces {
		text := r.text[i]
		if text == "" {
			continue
		}
		// The trie gives every first part that is a symbol; what is left must
		// be one as well.
		// All ways to cut the piece in two symbols are pairs that merge, with
		// the same rank; which of them comes up depends on the text.
		rank, _ := slices.BinarySearchFunc(scores, p.Score, func(a, b float32) int { return cmp.Compare(b, a) })
		r.trie.prefixes(text, func(left int32, n int) bool {
			if n < len(text) {
				if right := r.trie.find(text[n:]); right >= 0 {
					r.pairs.set(left, right, int32(rank), int32(i))
				}
			}
			return true
		})
	}
	r.build()
	return nil
}

// loneChars adds symbols for characters that are parts of pieces, or spelled
// like a reserved piece, without being pieces themselves.
func (t *BPE) loneChars(reserved map[string]int32) {
	r := &t.rules
	// Those that are symbols already.
	chars := map[rune]bool{}
	for _, text := range r.text {
		if c, n := utf8.DecodeRuneInString(text); n == len(text) {
			chars[c] = true
		}
	}
	// A character that only occurs in pieces needs a symbol, or no piece with
	// it could be made by merging.
	add := func(c rune) {
		if !chars[c] {
			chars[c] = true
			text := string(c)
			r.text = append(r.text, text)
			t.emitAs(int32(len(r.text)-1), t.external(text), reserved)
		}
	}
	for i, p := range t.pieces {
		if r.text[i] != "" {
			t.emitAs(int32(i), p.Text, reserved)
		}
		for _, c := range r.text[i] {
			add(c)
		}
		if reserved[p.Text] == int32(i) && utf8.ValidString(p.Text) && utf8.RuneCountInString(p.Text) == 1 {
			c, _ := utf8.DecodeRuneInString(t.internal(p.Text))
			add(c)
		}
	}
}

// emitAs notes the id that a symbol stands for, if it is not itself one: that
// of a reserved piece of the same spelling, or the unknown piece.
//
// SentencePiece finds reserved pieces by their spelling when it turns symbols
// into ids, though merging cannot tell them from text.
func (t *BPE) emitAs(symbol int32, text string, reserved map[string]int32) {
	id, ok := reserved[text]
	if !ok {
		if int(symbol) < len(t.pieces) {
			return
		}
		id = t.unk
	}
	if t.emit == nil {
		t.emit = map[int32]int32{}
	}
	t.emit[symbol] = id
}

// internal is the spelling of a piece that merging works on: a space is one
// byte there.
//
// One byte instead of three for the most frequent character, and words can be
// cut by looking for one byte.
func (t *BPE) internal(piece string) string {
	if t.cfg.EscapeSpaces {
		return strings.ReplaceAll(piece, space, " ")
	}
	return piece
}

// external is the opposite of internal.
func (t *BPE) external(text string) string {
	if t.cfg.EscapeSpaces {
		return strings.ReplaceAll(text, " ", space)
	}
	return text
}

// finish derives the tables of decoding and the hash.
func (t *BPE) finish() {
	t.texts = make([]string, len(t.pieces))
	t.byteOf = make([]int16, len(t.pieces))
	t.special = make([]bool, len(t.pieces))
	for i, p := range t.pieces {
		t.byteOf[i] = -1
		if t.hf != nil {
			t.special[i] = p.Kind == KindControl
			t.texts[i] = p.Text
			continue
		}
		switch p.Kind {
		// BOS and EOS have no text.
		case KindControl:
			t.special[i] = true
		case KindUnknown:
			t.texts[i] = t.cfg.UnknownSurface
		case KindByte:
			b, _ := byteOfPiece(p.Text)
			t.byteOf[i] = int16(b)
		default:
			t.texts[i] = strings.ReplaceAll(p.Text, space, " ")
		}
	}
	if t.hf != nil {
		// Whatever kind a special token is of.
		for _, a := range t.hf.added {
			t.special[a.ID] = t.special[a.ID] || a.Special
			// What is found in normal form has its text in that form: ▁<sep>,
			// where each text gets a ▁ in front.
			if a.Normalized && a.Content != "" {
				t.texts[a.ID] = t.hf.normalForm(a.Content)
			}
		}
		for i, text := range t.texts {
			if t.decodesBytes {
				t.texts[i] = ownSpelling(text)
			}
		}
	}
	// Only on demand: it goes through all merges.
	t.hash = sync.OnceValue(t.computeHash)
}

// kindName describes the vocabulary in errors.
func (t *BPE) kindName() string {
	if t.hf != nil && t.cfg.Family == SentencePiece {
		return t.cfg.Family.String() + " with listed merges"
	}
	return t.cfg.Family.String()
}

// Vocab is the number of pieces.
func (t *BPE) Vocab() int { return len(t.pieces) }

// BOS is the id of <s>, -1 when absent.
func (t *BPE) BOS() int32 { return t.bos }

// EOS is the id of </s>, -1 when absent.
func (t *BPE) EOS() int32 { return t.eos }

// Config returns the rules beside the vocabulary.
func (t *BPE) Config() Config { return t.cfg }

// Entry returns piece id with its score and kind. id must be in range.
func (t *BPE) Entry(id int32) Piece { return t.pieces[id] }

// Piece is the vocabulary's spelling of an id.
func (t *BPE) Piece(id int32) string {
	if id < 0 || int(id) >= len(t.pieces) {
		return ""
	}
	return t.pieces[id].Text
}

// Hash identifies vocabulary and rules.
func (t *BPE) Hash() string { return t.hash() }

// computeHash hashes a canonical form of all that ids depend on: merges by
// their order, not by the numbers that a format happens to store for it.
// Every text is preceded by its length, so that no two vocabularies share it.
func (t *BPE) computeHash() string {
	// The version in front changes if ids ever depend on something new.
	cfg := t.cfg
	// It is what an unknown piece is decoded to.
	cfg.UnknownSurface = "" // ids do not depend on it
	b := fmt.Appendf(nil, "llamac bpe 1 %+v bos %d eos %d %s\n", cfg, t.bos, t.eos, t.charsHash)
	if p := t.hf; p != nil {
		b = fmt.Appendf(b, "added %+v raw %v norm %v ignore %v fuse %v\n", p.added, p.raw.token, p.norm.token, p.ignoreMerges, !t.keepUnknowns)
		for _, z := range p.normalizers {
			b = fmt.Appendf(b, "normalizer %q\n", z.key)
		}
		for _, s := range p.steps {
			b = fmt.Appendf(b, "step %q\n", s.key)
		}
	}
	for _, p := range t.pieces {
		b = append(b, byte(p.Kind))
		// With the length in front, texts that run together differently hash
		// differently.
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p.Text)))
		b = append(b, p.Text...)
	}
	// By rank, so that the order in which a file lists equal things does not
	// matter.
	for _, s := range t.rules.pairs.sorted() {
		b = binary.LittleEndian.AppendUint32(b, uint32(s.left))
		b = binary.LittleEndian.AppendUint32(b, uint32(s.right))
		b = binary.LittleEndian.AppendUint32(b, uint32(s.rank))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// hashStrings is the sha256 of a string, in hex.
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
	// Upper case and two digits: other spellings are ordinary text.
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
