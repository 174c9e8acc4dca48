package tokenizer

// Control tokens are spelled like text, <s> or <|endoftext|>. Hugging Face's
// tokenizers find them in a text and make them the token; in a document, where
// they are what somebody wrote about, that ends it in its middle.

// WithoutSpecials returns a tokenizer like t whose Encode gives no control
// token, whatever the text spells out: it stays text. Ids mean the same as
// under t, so the hash is the same. Added tokens that are not special are
// found in text as before.
func WithoutSpecials(t Tokenizer) Tokenizer {
	if b, ok := t.(*BPE); ok {
		return b.WithoutSpecials()
	}
	return t
}

// SpecialsInText says whether t turns control tokens that a text spells out
// into their ids.
func SpecialsInText(t Tokenizer) bool {
	b, ok := t.(*BPE)
	if !ok || b.hf == nil {
		return false
	}
	for _, m := range []*matcher{&b.hf.raw, &b.hf.norm} {
		for _, i := range m.token {
			if b.hf.added[i].Special && !m.plain {
				return true
			}
		}
	}
	return false
}

// WithoutSpecials is the function of that name; it returns t itself if t never
// does otherwise.
func (t *BPE) WithoutSpecials() *BPE {
	barred := t.barred()
	if len(barred) == 0 && !SpecialsInText(t) {
		return t
	}
	// The tables are shared: they never change. Only the memory of encodings
	// in progress is its own, since that remembers words.
	u := &BPE{
		cfg: t.cfg, pieces: t.pieces, unk: t.unk, bos: t.bos, eos: t.eos, putsBOS: t.putsBOS, bosName: t.bosName, eosName: t.eosName, bytes: t.bytes,
		user: t.user, rawUser: t.rawUser, chars: t.chars, charsHash: t.charsHash,
		rules: t.rules, emit: t.emit, unused: t.unused, keepUnknowns: t.keepUnknowns, hf: t.hf,
		texts: t.texts, byteOf: t.byteOf, special: t.special, decodesBytes: t.decodesBytes, spec: t.spec, hash: t.hash,
	}
	u.bar(barred)
	if t.hf != nil {
		p := *t.hf
		u.hf = &p
		p.whole = nil
		for text, id := range t.hf.whole {
			if !barred[id] {
				if p.whole == nil {
					p.whole = map[string]int32{}
				}
				p.whole[text] = id
			}
		}
		p.raw.plain, p.norm.plain = true, true
		p.findShortcuts(u)
	}
	return u
}

// barred finds the control tokens that encoding may give without looking for
// them: those that merging makes, or that a single character is.
func (t *BPE) barred() map[int32]bool {
	barred := map[int32]bool{}
	if t.hf == nil {
		for _, id := range t.emit {
			if t.pieces[id].Kind == KindControl {
				barred[id] = true
			}
		}
		return barred
	}
	for _, a := range t.hf.added {
		if text := t.rules.text[a.ID]; a.Special && text != "" && (t.rules.trie.find(text) == a.ID || t.hf.whole[text] == a.ID) {
			barred[a.ID] = true
		}
	}
	return barred
}

// bar makes the encoder take barred tokens apart: into what they were last
// merged of, or into what an unknown character becomes.
//
// The merges themselves stay, for longer pieces come about through them.
func (t *BPE) bar(barred map[int32]bool) {
	if len(barred) == 0 {
		return
	}
	emit := map[int32]int32{}
	for symbol, id := range t.emit {
		if barred[id] {
			id = t.unk
		}
		emit[symbol] = id
	}
	t.split = map[int32][2]int32{}
	for id := range barred {
		if t.hf == nil {
			continue // never the symbol itself
		}
		if pair, ok := t.lastPair(id); ok {
			t.split[id] = pair
		} else {
			emit[id] = t.unk
		}
	}
	t.emit = emit
}

// lastPair gives the two symbols that symbol s is last merged of.
func (t *BPE) lastPair(s int32) (pair [2]int32, ok bool) {
	r, g := &t.rules, &greedy{}
	for text := r.text[s]; text != ""; {
		n := r.unit(text)
		g.add(r.trie.find(text[:n]))
		text = text[n:]
	}
	g.runSeen(&r.pairs, nil, func(left, right, result int32) {
		if result == s {
			pair, ok = [2]int32{left, right}, true
		}
	})
	return pair, ok
}
