package tokenizer

import "unicode/utf8"

// decoder turns ids into text, one at a time. It follows SentencePiece: the
// space that was put before the text is dropped again, and each byte that does
// not belong to a character becomes U+FFFD.
type decoder struct {
	t       *BPE
	text    bool // some text has come out already
	space   bool // the first space has been dropped
	pending [utf8.UTFMax]byte
	n       int // bytes pending: the start of a character
}

// next appends the text that becomes certain with id. After a byte piece this
// is whole characters only; whatever is pending is dealt with by the next
// piece that is no byte, or by flush.
func (d *decoder) next(dst []byte, id int32) []byte {
	t := d.t
	// Generation may come up with ids that a model has and its tokenizer lacks:
	// vocabularies of weights are padded.
	if id < 0 || int(id) >= len(t.pieces) {
		return dst
	}
	from := len(dst)
	if b := t.byteOf[id]; b >= 0 {
		dst = d.addByte(dst, byte(b))
		d.text = d.text || len(dst) > from
		return dst
	}
	// Any other piece ends a character made of bytes, BOS and EOS included.
	dst = d.flush(dst)
	d.text = d.text || len(dst) > from
	if t.special[id] {
		return dst
	}
	s := t.texts[id]
	if !d.text && !d.space && id != t.unk &&
		(t.cfg.DummyPrefix || t.cfg.RemoveExtraSpaces) && len(s) > 0 && s[0] == ' ' && t.hasSpace(id) {
		s = s[1:]
		d.space = !t.cfg.RemoveExtraSpaces // with that rule, all spaces before the text go
	}
	d.text = d.text || len(s) > 0
	return append(dst, s...)
}

// hasSpace says whether the piece starts with ▁, as opposed to a plain space.
func (t *BPE) hasSpace(id int32) bool {
	p := t.pieces[id].Text
	return len(p) >= len(space) && p[:len(space)] == space
}

// addByte adds one byte of a character and appends what has become certain.
func (d *decoder) addByte(dst []byte, b byte) []byte {
	d.pending[d.n] = b
	d.n++
	for d.n > 0 && utf8.FullRune(d.pending[:d.n]) {
		dst = d.takeRune(dst)
	}
	return dst
}

// takeRune moves one character, or one byte that is none, out of pending.
func (d *decoder) takeRune(dst []byte) []byte {
	r, n := utf8.DecodeRune(d.pending[:d.n])
	if r == utf8.RuneError && n <= 1 {
		dst, n = append(dst, replacement...), 1
	} else {
		dst = append(dst, d.pending[:n]...)
	}
	d.n = copy(d.pending[:], d.pending[n:d.n])
	return dst
}

// flush appends U+FFFD for each byte that waits for the rest of a character.
func (d *decoder) flush(dst []byte) []byte {
	for d.n > 0 {
		dst = d.takeRune(dst)
	}
	return dst
}

// Decode appends the text of ids to dst. The space that Encode put before the
// text is dropped again. With listed merges, the file's decoder says what the
// text is. Of the SentencePiece family the result is valid UTF-8;
// a byte-level tokenizer gives back the very bytes.
func (t *BPE) Decode(dst []byte, ids []int32) []byte {
	if t.hf != nil {
		return t.decodeListed(dst, ids)
	}
	d := decoder{t: t}
	for _, id := range ids {
		dst = d.next(dst, id)
	}
	return d.flush(dst)
}

// decodeListed is Decode for vocabularies with listed merges: special tokens
// have no text there.
func (t *BPE) decodeListed(dst []byte, ids []int32) []byte {
	if t.decodesBytes {
		for _, id := range ids {
			if id >= 0 && int(id) < len(t.texts) && !t.special[id] {
				dst = append(dst, t.texts[id]...)
			}
		}
		return dst
	}
	st := t.get()
	defer t.put(st)
	st.join.start(t)
	for _, id := range ids {
		dst = st.join.next(dst, id)
	}
	return st.join.flush(dst)
}
