package tokenizer

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// A model's rows belong to the pieces that it was trained with, so weights must
// not be used under another vocabulary. One vocabulary comes in many files,
// though: tokenizer.model, tokenizer.json and GGUF of one model differ in every
// byte, and in what they can say. Compare looks at what they do.

// Difference is what Compare found.
type Difference struct {
	// Text says what ids or text mean another thing under one of the two, "" if
	// nothing does. The first of the two is "there", the second "here".
	Text string
	// Ends says that the two begin or end documents by other ids, "" if they do
	// not. Rows mean the same all the same: an instruction-tuned model may end
	// its answers by another token than it was trained with.
	Ends string
}

// Compare tells whether ids mean the same under two tokenizers and text becomes
// the same ids. Equal hashes are equal tokenizers. Otherwise pieces are
// compared one by one, merges with their order, and what becomes of some
// thousands of texts that are made of the pieces; ids that no text becomes, as
// paddings of a vocabulary, may be missing in one of the two. Control pieces
// that are spelled out in text are not looked at: formats differ in whether
// they can be.
func Compare(a, b Tokenizer) Difference {
	var d Difference
	if a.Hash() == b.Hash() {
		return d
	}
	if d.Text = differentPieces(a, b); d.Text == "" {
		if d.Text = differentMerges(a, b); d.Text == "" {
			d.Text = differentText(a, b)
		}
	}
	for _, end := range []struct {
		name string
		a, b int32
	}{{"BOS", a.BOS(), b.BOS()}, {"EOS", a.EOS(), b.EOS()}} {
		if end.a == end.b {
			continue
		}
		if d.Ends != "" {
			d.Ends += ", "
		}
		d.Ends += fmt.Sprintf("%s is %s there and %s here", end.name, describeID(a, end.a), describeID(b, end.b))
	}
	return d
}

// describeID prints an id with its piece, "none" for -1.
func describeID(t Tokenizer, id int32) string {
	if id < 0 {
		return "none"
	}
	return fmt.Sprintf("%d (%s)", id, t.Piece(id))
}

// reached is the number of ids without those at the end that no text becomes.
func reached(t Tokenizer) int {
	n := t.Vocab()
	b, ok := t.(*BPE)
	if !ok {
		return n
	}
	for n > 0 && (b.pieces[n-1].Kind == KindUnused || b.pieces[n-1].Text == "") {
		n--
	}
	return n
}

// differentPieces compares vocabularies id by id.
func differentPieces(a, b Tokenizer) string {
	na, nb := reached(a), reached(b)
	for id := range int32(min(na, nb)) {
		pa, pb := a.Piece(id), b.Piece(id)
		// An id without a piece has no meaning that the other could contradict.
		if pa != pb && pa != "" && pb != "" {
			return fmt.Sprintf("id %d is %q there and %q here", id, pa, pb)
		}
	}
	if na != nb {
		long, n, m := a, na, nb
		if nb > na {
			long, n, m = b, nb, na
		}
		return fmt.Sprintf("%d pieces there and %d here: %q (%d) is in one of them alone", na, nb, long.Piece(int32(m)), m) + andMore(n-m-1)
	}
	return ""
}

// andMore ends a list of which one was named.
func andMore(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", and %d more", n)
}

// differentMerges compares what merges and in which order. Scores rank all ways
// to make a piece the same, a list puts them one behind the other: then the
// list has to respect the ranks.
func differentMerges(a, b Tokenizer) string {
	x, ok1 := a.(*BPE)
	y, ok2 := b.(*BPE)
	if !ok1 || !ok2 {
		return ""
	}
	ma, mb := x.listed(), y.listed()
	other := make(map[[2]int32]int32, len(mb))
	for _, m := range mb {
		other[[2]int32{m.left, m.right}] = m.rank
	}
	if len(ma) != len(mb) {
		return fmt.Sprintf("%d merges there and %d here", len(ma), len(mb))
	}
	name := func(m pairSlot) string {
		return fmt.Sprintf("%q with %q", x.pieces[m.left].Text, x.pieces[m.right].Text)
	}
	// Walked in the order of a, the best rank so far of b must never be passed.
	// Merges of equal rank in a have no order among each other, hence by groups.
	for i := 0; i < len(ma); {
		low, high := int32(-1), int32(-1)
		from := i
		for ; i < len(ma) && ma[i].rank == ma[from].rank; i++ {
			rank, ok := other[[2]int32{ma[i].left, ma[i].right}]
			if !ok {
				return fmt.Sprintf("%s merge in one of them alone", name(ma[i]))
			}
			if low < 0 || rank < low {
				low = rank
			}
			high = max(high, rank)
		}
		// The next group may share the last rank of this one, where b is the one
		// with equal ranks.
		if i < len(ma) && highestBefore(other, ma[i:], high) {
			return fmt.Sprintf("%s and %s merge in another order", name(ma[from]), name(ma[i]))
		}
	}
	return ""
}

// highestBefore tells whether the first of the merges has a rank below high.
func highestBefore(rank map[[2]int32]int32, merges []pairSlot, high int32) bool {
	r, ok := rank[[2]int32{merges[0].left, merges[0].right}]
	return ok && r < high
}

// listed are the merges of two pieces, in order: pairs with a character that is
// no piece exist where scores decide, and cannot be listed.
func (t *BPE) listed() []pairSlot {
	return slices.DeleteFunc(t.rules.pairs.sorted(), func(m pairSlot) bool {
		return int(m.left) >= len(t.pieces) || int(m.right) >= len(t.pieces)
	})
}

// probes are texts that show the rules beside pieces and merges: spaces, digits,
// line ends, contractions, characters that normalisers change.
var probes = []string{
	"", " ", "  ", "a", " a", "a ", "  a  b   c ", "\n", "a\n\nb\r\n", "\ta\t\tb", "Hello world", "I'm we'LL they've",
	"2024-01-31 12345678901", "3.14159,2", "x=1;y+=2;//z", "ÀÉîõü ñ", "e\u0301a\u0300", "ﬁﬂ ½ ² Ⅷ", "ＡＢＣ１２３", "你好，世界", "こんにちは", "안녕하세요",
	"привет мир", "שלום", "مرحبا", "🙂👩‍👩‍👧", "\u00a0a\u2003b\u200bc", "a\u2581b", "ABC abc ÄÖÜ äöü", "don't 'quote' \"x\"", "<unk> <pad>",
}

// differentText encodes texts with both: the probes, and neighbours that pieces
// do not have in the vocabulary.
func differentText(a, b Tokenizer) string {
	// Both as text is encoded in documents.
	a, b = WithoutSpecials(a), WithoutSpecials(b)
	var x, y []int32
	check := func(text []byte) string {
		// Libraries differ in what they make of bytes that are no text.
		if !utf8.Valid(text) {
			return ""
		}
		if x, y = a.Encode(x[:0], text), b.Encode(y[:0], text); !slices.Equal(x, y) {
			return fmt.Sprintf("%q becomes %v there and %v here", text, x, y)
		}
		return ""
	}
	for _, p := range probes {
		if d := check([]byte(p)); d != "" {
			return d
		}
	}
	const most = 1 << 14 // texts
	n := min(a.Vocab(), b.Vocab())
	step := max(1, n/most)
	var text, piece []byte
	for i := 0; i < n; i += step {
		// Steps of a golden section meet all of the vocabulary, in no order that
		// pieces could have.
		text = text[:0]
		for _, id := range []int32{int32(i), int32(uint64(i) * 0x9E3779B1 % uint64(n)), int32(uint64(i) * 0x85EBCA77 % uint64(n))} {
			piece = a.Decode(piece[:0], []int32{id})
			if special(a, id) || special(b, id) {
				continue
			}
			text = append(text, piece...)
		}
		if d := check(text); d != "" {
			return d
		}
	}
	return ""
}

// special tells whether an id is neither text nor a byte.
func special(t Tokenizer, id int32) bool {
	b, ok := t.(*BPE)
	return ok && b.pieces[id].Kind != KindNormal && b.pieces[id].Kind != KindByte
}
