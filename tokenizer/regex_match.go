package tokenizer

import "unicode/utf8"

// rxState is what is known of one text: of each unbounded repetition the run of
// characters that it met last.
type rxState struct{ runs []rxRun }

// rxRun is a run of a repetition's characters, from from to to. What follows the
// repetition does not match at its ends from dead on.
type rxRun struct{ from, to, dead int }

// begin returns the state for a new text; x.idle takes it back.
func (x *regex) begin() *rxState {
	m, _ := x.idle.Get().(*rxState)
	if m == nil {
		m = &rxState{runs: make([]rxRun, x.runs)}
	}
	for i := range m.runs {
		m.runs[i] = rxRun{from: 0, to: -1, dead: 0}
	}
	return m
}

// match returns where the expression's match that begins at s[at] ends, -1 if
// there is none.
func (x *regex) match(s []byte, at int) int {
	m := x.begin()
	defer x.idle.Put(m)
	return x.node.match(m, s, at, nil)
}

// rxNext is what has to match behind a node; nil is nothing more.
type rxNext struct {
	node *rxNode
	kid  int // of a sequence: the next one; of a repetition: how often it has matched
	from int // of a repetition: where the last one began
	then *rxNext
}

func (k *rxNext) match(m *rxState, s []byte, at int) int {
	if k == nil {
		return at
	}
	if k.node.kind == rxSeq {
		return k.node.sequence(m, s, at, k.kid, k.then)
	}
	// A repetition that matched nothing does not go on for ever.
	if at == k.from && k.kid > k.node.min {
		return -1
	}
	return k.node.repeat(m, s, at, k.kid, k.then)
}

// runeAt decodes a character; a byte that is no UTF-8 counts as U+FFFD.
func runeAt(s []byte, at int) (rune, int) {
	if at < len(s) && s[at] < utf8.RuneSelf {
		return rune(s[at]), 1
	}
	return utf8.DecodeRune(s[at:])
}

func (n *rxNode) match(m *rxState, s []byte, at int, then *rxNext) int {
	switch n.kind {
	case rxSet:
		if r, size := runeAt(s, at); size > 0 && n.set.has(r) {
			return then.match(m, s, at+size)
		}
		return -1
	case rxSeq:
		return n.sequence(m, s, at, 0, then)
	case rxAlt:
		for _, kid := range n.kids {
			if end := kid.match(m, s, at, then); end >= 0 {
				return end
			}
		}
		return -1
	case rxRepeat:
		return n.repeat(m, s, at, 0, then)
	case rxLook:
		if (n.kids[0].match(m, s, at, nil) >= 0) == n.neg {
			return -1
		}
	case rxAtomic:
		if at = n.kids[0].match(m, s, at, nil); at < 0 {
			return -1
		}
	case rxBegin:
		if at > 0 && s[at-1] != '\n' {
			return -1
		}
	case rxEnd:
		if at < len(s) && s[at] != '\n' {
			return -1
		}
	case rxTextBegin:
		if at > 0 {
			return -1
		}
	case rxTextEnd:
		if at < len(s) {
			return -1
		}
	}
	return then.match(m, s, at)
}

func (n *rxNode) sequence(m *rxState, s []byte, at, kid int, then *rxNext) int {
	// Sets in a row need nobody to come back to them.
	for kid < len(n.kids) && n.kids[kid].kind == rxSet {
		r, size := runeAt(s, at)
		if size == 0 || !n.kids[kid].set.has(r) {
			return -1
		}
		at += size
		kid++
	}
	switch {
	case kid == len(n.kids):
		return then.match(m, s, at)
	case kid == len(n.kids)-1:
		return n.kids[kid].match(m, s, at, then)
	}
	return n.kids[kid].match(m, s, at, &rxNext{node: n, kid: kid + 1, then: then})
}

func (n *rxNode) repeat(m *rxState, s []byte, at, done int, then *rxNext) int {
	if n.max < 0 {
		return n.unbounded(m, s, at, then)
	}
	if set := n.kids[0].set; set != nil && !n.lazy {
		// Of single characters: as many as there are, then one less at a time.
		end, count := at, 0
		for count < n.max {
			r, size := runeAt(s, end)
			if size == 0 || !set.has(r) {
				break
			}
			end, count = end+size, count+1
		}
		for ; count >= n.min; count-- {
			if to := then.match(m, s, end); to >= 0 {
				return to
			}
			if count > 0 {
				_, size := utf8.DecodeLastRune(s[at:end])
				end -= size
			}
		}
		return -1
	}
	more := func() int {
		if done >= n.max {
			return -1
		}
		return n.kids[0].match(m, s, at, &rxNext{node: n, kid: done + 1, from: at, then: then})
	}
	if done < n.min {
		return more()
	}
	if n.lazy {
		if to := then.match(m, s, at); to >= 0 {
			return to
		}
		return more()
	}
	if to := more(); to >= 0 {
		return to
	}
	return then.match(m, s, at)
}

// unbounded is repeat for any number of single characters, or at least one.
func (n *rxNode) unbounded(m *rxState, s []byte, at int, then *rxNext) int {
	r, set := &m.runs[n.run], n.kids[0].set
	if at < r.from || at > r.to {
		end := at
		for end != r.from || end > r.to {
			c, size := runeAt(s, end)
			if size == 0 || !set.has(c) {
				*r = rxRun{at, end, end + 1}
				break
			}
			end += size
		}
		// Of a run that is known, and begins earlier than was known.
		r.from = at
	}
	first := at
	if n.min > 0 {
		if at == r.to {
			return -1
		}
		_, size := runeAt(s, at)
		first += size
	}
	if n.lazy {
		for end := first; end < r.dead; {
			if to := then.match(m, s, end); to >= 0 {
				return to
			}
			_, size := runeAt(s, end)
			end += max(size, 1)
		}
		r.dead = min(r.dead, first)
		return -1
	}
	for r.dead > first {
		end := r.to
		if r.dead <= r.to {
			_, size := utf8.DecodeLastRune(s[at:r.dead])
			end = r.dead - size
		}
		if to := then.match(m, s, end); to >= 0 {
			return to
		}
		r.dead = end
	}
	return -1
}

// find returns the first match at or behind at; start is -1 if there is none.
func (x *regex) find(s []byte, at int) (start, end int) {
	m := x.begin()
	defer x.idle.Put(m)
	return x.findNext(m, s, at)
}

// findNext is find where m is of the same text.
func (x *regex) findNext(m *rxState, s []byte, at int) (start, end int) {
	for {
		if end := x.node.match(m, s, at, nil); end >= 0 {
			return at, end
		}
		if at >= len(s) {
			return -1, -1
		}
		_, n := runeAt(s, at)
		at += n
	}
}
