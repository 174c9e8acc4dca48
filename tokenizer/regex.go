package tokenizer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Tokenizers cut text by regular expressions that look ahead, which Go's regexp
// does not do. This is a small backtracking matcher for what their files use:
// classes, groups, alternatives, greedy, lazy and possessive repetition, looking
// ahead, anchors, and (?i: ) for letters. What an expression holds beyond that
// is an error that names it. Meanings are Oniguruma's, which Hugging Face's
// library runs: ^ and $ are those of lines, \s \d \w those of Unicode.
//
// What is repeated without bound is single characters, never groups: so time is
// a small power of a run's length, and the stack bounded, whatever the text.

// regex is a compiled expression.
type regex struct {
	source string
	node   *rxNode
}

// rxKind says what a node of an expression matches.
type rxKind uint8

const (
	rxSet    rxKind = iota // one character of a set
	rxSeq                  // all of kids, one after the other
	rxAlt                  // the first of kids that leads to a match
	rxRepeat               // kids[0], min to max times
	rxLook                 // kids[0] matches here, or does not if neg
	rxAtomic               // kids[0] as it matches first, without going back
	rxBegin                // start of a line
	rxEnd                  // end of a line
	rxTextBegin
	rxTextEnd
)

type rxNode struct {
	kind     rxKind
	kids     []*rxNode
	set      *rxSetOf
	min, max int // max is -1 for no bound
	lazy     bool
	neg      bool
}

// rxSetOf is a set of characters.
type rxSetOf struct {
	neg   bool
	ascii [utf8.RuneSelf]bool // the answer for those, neg included
	items []rxItem
}

type rxItem struct {
	lo, hi rune
	class  func(rune) bool // instead of a range
	neg    bool
}

func (s *rxSetOf) slow(r rune) bool {
	for _, it := range s.items {
		in := it.lo <= r && r <= it.hi
		if it.class != nil {
			in = it.class(r) != it.neg
		}
		if in {
			return !s.neg
		}
	}
	return s.neg
}

func (s *rxSetOf) has(r rune) bool {
	if r < utf8.RuneSelf {
		return s.ascii[r]
	}
	return s.slow(r)
}

const (
	maxRegex      = 4096 // bytes of an expression
	maxRegexDepth = 64
	maxRegexCount = 1000
)

// compileRegex parses an expression.
func compileRegex(source string) (*regex, error) { return compileFor(source, false) }

// compileFor parses an expression of Oniguruma's or of Rust's.
func compileFor(source string, rust bool) (*regex, error) {
	if len(source) > maxRegex {
		return nil, fmt.Errorf("a pattern of %d bytes, more than %d", len(source), maxRegex)
	}
	if !utf8.ValidString(source) {
		return nil, fmt.Errorf("pattern %q is not UTF-8", source)
	}
	p := &rxParser{rest: source, rust: rust}
	n, err := p.alternatives(0, false)
	if err == nil && p.rest != "" {
		err = fmt.Errorf("unexpected %q", p.rest[:1])
	}
	if err != nil {
		return nil, fmt.Errorf("pattern %q is not supported: %w", source, err)
	}
	return &regex{source: source, node: n}, nil
}

type rxParser struct {
	rest string
	rust bool // \w as Rust's expressions have it
}

func (p *rxParser) peek() rune {
	r, n := utf8.DecodeRuneInString(p.rest)
	if n == 0 {
		return -1
	}
	return r
}

func (p *rxParser) take() rune {
	r, n := utf8.DecodeRuneInString(p.rest)
	p.rest = p.rest[n:]
	if n == 0 {
		return -1
	}
	return r
}

func (p *rxParser) skip(s string) bool {
	rest, ok := strings.CutPrefix(p.rest, s)
	p.rest = rest
	return ok
}

func (p *rxParser) alternatives(depth int, fold bool) (*rxNode, error) {
	if depth > maxRegexDepth {
		return nil, fmt.Errorf("groups nest deeper than %d", maxRegexDepth)
	}
	alt := &rxNode{kind: rxAlt}
	for {
		seq, err := p.sequence(depth, fold)
		if err != nil {
			return nil, err
		}
		alt.kids = append(alt.kids, seq)
		if !p.skip("|") {
			break
		}
	}
	if len(alt.kids) == 1 {
		return alt.kids[0], nil
	}
	return alt, nil
}

// longFolds are pairs of letters that fold to one character elsewhere in
// Unicode, such as ß: a match of (?i:ss) need not have its own length.
var longFolds = []string{"ss", "ff", "fi", "fl", "st"}

func (p *rxParser) sequence(depth int, fold bool) (*rxNode, error) {
	seq := &rxNode{kind: rxSeq}
	var last rune
	for p.rest != "" && p.peek() != '|' && p.peek() != ')' {
		before := p.peek()
		n, err := p.atom(depth, fold)
		if err != nil {
			return nil, err
		}
		if fold && n.kind == rxSet {
			if pair := strings.ToLower(string([]rune{last, before})); slices.Contains(longFolds, pair) {
				return nil, fmt.Errorf("%s without regard to case", pair)
			}
		}
		last = before
		if n, err = p.repeats(n); err != nil {
			return nil, err
		}
		seq.kids = append(seq.kids, n)
	}
	return seq, nil
}

// choices says whether a node holds a repetition, of which each round would
// double the ways to match.
func (n *rxNode) choices() bool {
	return n.kind == rxRepeat || slices.ContainsFunc(n.kids, (*rxNode).choices)
}

func (p *rxParser) repeats(n *rxNode) (*rxNode, error) {
	for times := 0; ; times++ {
		r := &rxNode{kind: rxRepeat, kids: []*rxNode{n}, max: -1}
		switch p.peek() {
		case '*':
			p.take()
		case '+':
			p.take()
			r.min = 1
		case '?':
			p.take()
			r.max = 1
		case '{':
			var ok bool
			if r.min, r.max, ok = p.braces(); !ok {
				return nil, fmt.Errorf("the repetition %.8q", p.rest)
			}
			if p.peek() == '+' {
				return nil, fmt.Errorf("the repetition {...}+")
			}
		default:
			return n, nil
		}
		switch {
		case times > 0:
			return nil, fmt.Errorf("a repetition of a repetition")
		case n.kind != rxSet && n.kind != rxSeq && n.kind != rxAlt && n.kind != rxAtomic:
			return nil, fmt.Errorf("a repetition of what has no length")
		case r.max < 0 && n.kind != rxSet:
			return nil, fmt.Errorf("an unbounded repetition of a group")
		case n.kind != rxSet && n.choices():
			return nil, fmt.Errorf("a repeated group with repetitions in it")
		}
		n = r
		if p.skip("?") {
			r.lazy = true
		} else if p.skip("+") {
			n = &rxNode{kind: rxAtomic, kids: []*rxNode{r}}
		}
	}
}

// braces reads {2}, {2,}, {,3} or {2,3}.
func (p *rxParser) braces() (lo, hi int, ok bool) {
	inside, rest, found := strings.Cut(p.rest[1:], "}")
	a, b, two := strings.Cut(inside, ",")
	number := func(s string, otherwise int) int {
		if s == "" {
			return otherwise
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n > maxRegexCount || s[0] == '+' || s[0] == '-' {
			found = false
		}
		return n
	}
	if lo = number(a, 0); !two {
		hi = lo
	} else {
		hi = number(b, -1)
	}
	if !found || inside == "" || inside == "," || hi >= 0 && hi < lo {
		return 0, 0, false
	}
	p.rest = rest
	return lo, hi, true
}

func (p *rxParser) atom(depth int, fold bool) (*rxNode, error) {
	switch r := p.peek(); r {
	case '(':
		return p.group(depth, fold)
	case '[':
		p.take()
		s, err := p.class(fold)
		return &rxNode{kind: rxSet, set: s}, err
	case '.':
		p.take()
		return p.setNode(true, rxItem{lo: '\n', hi: '\n'}), nil
	case '^':
		p.take()
		return &rxNode{kind: rxBegin}, nil
	case '$':
		p.take()
		return &rxNode{kind: rxEnd}, nil
	case '*', '+', '?', '{':
		return nil, fmt.Errorf("unexpected %q", r)
	case '\\':
		switch {
		case p.skip(`\A`):
			return &rxNode{kind: rxTextBegin}, nil
		case p.skip(`\z`):
			return &rxNode{kind: rxTextEnd}, nil
		}
		it, err := p.escape(false)
		if err != nil {
			return nil, err
		}
		return p.setNode(false, folded(it, fold)...), nil
	default:
		p.take()
		return p.setNode(false, folded(rxItem{lo: r, hi: r}, fold)...), nil
	}
}

func (p *rxParser) setNode(neg bool, items ...rxItem) *rxNode {
	return &rxNode{kind: rxSet, set: newSet(neg, items)}
}

func newSet(neg bool, items []rxItem) *rxSetOf {
	s := &rxSetOf{neg: neg, items: items}
	for r := range s.ascii {
		s.ascii[r] = s.slow(rune(r))
	}
	return s
}

// folded is a character or range with its other cases.
func folded(it rxItem, fold bool) []rxItem {
	items := []rxItem{it}
	if !fold || it.class != nil {
		return items
	}
	for r := it.lo; r <= it.hi; r++ {
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			items = append(items, rxItem{lo: f, hi: f})
		}
	}
	return items
}

func (p *rxParser) group(depth int, fold bool) (*rxNode, error) {
	n := &rxNode{}
	switch {
	case p.skip("(?:"):
	case p.skip("(?i:"):
		fold = true
	case p.skip("(?="):
		n.kind = rxLook
	case p.skip("(?!"):
		n.kind, n.neg = rxLook, true
	case p.skip("(?>"):
		n.kind = rxAtomic
	case strings.HasPrefix(p.rest, "(?"):
		return nil, fmt.Errorf("the group %.4s", p.rest)
	default:
		p.take()
	}
	kid, err := p.alternatives(depth+1, fold)
	if err != nil {
		return nil, err
	}
	if !p.skip(")") {
		return nil, fmt.Errorf("a group is not closed")
	}
	if n.kind == rxLook || n.kind == rxAtomic {
		n.kids = []*rxNode{kid}
		return n, nil
	}
	if kid.kind == rxSeq && len(kid.kids) == 1 && kid.kids[0].kind == rxSet {
		return kid.kids[0], nil
	}
	return &rxNode{kind: rxSeq, kids: []*rxNode{kid}}, nil
}

// escape reads what a backslash stands for.
func (p *rxParser) escape(inClass bool) (rxItem, error) {
	p.take()
	class := func(f func(rune) bool, neg bool) (rxItem, error) { return rxItem{class: f, neg: neg}, nil }
	one := func(r rune) (rxItem, error) { return rxItem{lo: r, hi: r}, nil }
	switch r := p.take(); r {
	case 's', 'S':
		return class(unicode.IsSpace, r == 'S')
	case 'd', 'D':
		return class(func(r rune) bool { return unicode.Is(unicode.Nd, r) }, r == 'D')
	case 'w', 'W':
		// Oniguruma counts no joiners and, but for classes, the numbers of
		// Latin-1.
		word := func(r rune) bool {
			return isWord(r) && !unicode.Is(unicode.Join_Control, r) || classOf(r) == letter || !inClass && r < 0x100 && classOf(r) == number
		}
		if p.rust {
			word = isWord
		}
		return class(word, r == 'W')
	case 'p', 'P':
		return p.property(r == 'P')
	case 'n':
		return one('\n')
	case 'r':
		return one('\r')
	case 't':
		return one('\t')
	case 'f':
		return one('\f')
	case 'v':
		return one('\v')
	case 'u', 'x':
		digits, rest := "", p.rest
		if inside, after, ok := strings.Cut(rest, "}"); r == 'x' && strings.HasPrefix(rest, "{") && ok {
			digits, rest = inside[1:], after
		} else if n := map[rune]int{'u': 4, 'x': 2}[r]; len(rest) >= n {
			digits, rest = rest[:n], rest[n:]
		}
		v, err := strconv.ParseUint(digits, 16, 21)
		if err != nil || v > unicode.MaxRune {
			return rxItem{}, fmt.Errorf("the escape \\%c", r)
		}
		p.rest = rest
		return one(rune(v))
	default:
		if r < 0 || r >= utf8.RuneSelf || unicode.IsLetter(r) || unicode.IsDigit(r) {
			return rxItem{}, fmt.Errorf("the escape \\%c", r)
		}
		return one(r)
	}
}

// property reads {L}, {^Lu} or {Han} behind \p.
func (p *rxParser) property(neg bool) (rxItem, error) {
	name, rest, ok := strings.Cut(p.rest, "}")
	if !ok || !strings.HasPrefix(name, "{") {
		return rxItem{}, fmt.Errorf(`\p without a name in braces`)
	}
	p.rest = rest
	name = name[1:]
	if strings.HasPrefix(name, "^") {
		name, neg = name[1:], !neg
	}
	switch name {
	case "L", "Letter", "Alpha", "Alphabetic":
		if name != "L" && name != "Letter" {
			break
		}
		return rxItem{class: func(r rune) bool { return classOf(r) == letter }, neg: neg}, nil
	case "N", "Number":
		return rxItem{class: func(r rune) bool { return classOf(r) == number }, neg: neg}, nil
	}
	table := unicode.Categories[name]
	if table == nil {
		table = unicode.Scripts[name]
	}
	if table == nil {
		return rxItem{}, fmt.Errorf(`the property \p{%s}`, name)
	}
	return rxItem{class: func(r rune) bool { return unicode.Is(table, r) }, neg: neg}, nil
}

// class reads what stands between brackets.
func (p *rxParser) class(fold bool) (*rxSetOf, error) {
	neg := p.skip("^")
	var items []rxItem
	for first := true; ; first = false {
		r := p.peek()
		switch {
		case r < 0:
			return nil, fmt.Errorf("a class is not closed")
		case r == ']' && !first:
			p.take()
			return newSet(neg, items), nil
		case r == '[':
			return nil, fmt.Errorf("a class within a class")
		case strings.HasPrefix(p.rest, "&&"):
			return nil, fmt.Errorf("an intersection of classes")
		}
		it, err := p.member()
		if err != nil {
			return nil, err
		}
		// A range; a - at the end of the class stands for itself.
		if it.class == nil && len(p.rest) > 1 && p.rest[0] == '-' && p.rest[1] != ']' {
			p.take()
			to, err := p.member()
			if err != nil || to.class != nil || to.lo < it.lo {
				return nil, fmt.Errorf("a range from %q", it.lo)
			}
			it.hi = to.lo
		}
		if fold && it.class == nil && it.hi-it.lo > 1000 {
			return nil, fmt.Errorf("a range as large as from %q to %q without regard to case", it.lo, it.hi)
		}
		items = append(items, folded(it, fold)...)
	}
}

func (p *rxParser) member() (rxItem, error) {
	if p.peek() == '\\' {
		return p.escape(true)
	}
	r := p.take()
	if r < 0 || r == '[' {
		return rxItem{}, fmt.Errorf("a class that ends in %q", r)
	}
	return rxItem{lo: r, hi: r}, nil
}

// match returns where the expression's match that begins at s[at] ends, -1 if
// there is none.
func (x *regex) match(s []byte, at int) int {
	return x.node.match(s, at, nil)
}

// rxNext is what has to match behind a node; nil is nothing more.
type rxNext struct {
	node *rxNode
	kid  int // of a sequence: the next one; of a repetition: how often it has matched
	from int // of a repetition: where the last one began
	then *rxNext
}

func (k *rxNext) match(s []byte, at int) int {
	if k == nil {
		return at
	}
	if k.node.kind == rxSeq {
		return k.node.sequence(s, at, k.kid, k.then)
	}
	// A repetition that matched nothing does not go on for ever.
	if at == k.from && k.kid > k.node.min {
		return -1
	}
	return k.node.repeat(s, at, k.kid, k.then)
}

// runeAt decodes a character; a byte that is no UTF-8 counts as U+FFFD.
func runeAt(s []byte, at int) (rune, int) {
	if at < len(s) && s[at] < utf8.RuneSelf {
		return rune(s[at]), 1
	}
	return utf8.DecodeRune(s[at:])
}

func (n *rxNode) match(s []byte, at int, then *rxNext) int {
	switch n.kind {
	case rxSet:
		if r, size := runeAt(s, at); size > 0 && n.set.has(r) {
			return then.match(s, at+size)
		}
		return -1
	case rxSeq:
		return n.sequence(s, at, 0, then)
	case rxAlt:
		for _, kid := range n.kids {
			if end := kid.match(s, at, then); end >= 0 {
				return end
			}
		}
		return -1
	case rxRepeat:
		return n.repeat(s, at, 0, then)
	case rxLook:
		if (n.kids[0].match(s, at, nil) >= 0) == n.neg {
			return -1
		}
	case rxAtomic:
		if at = n.kids[0].match(s, at, nil); at < 0 {
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
	return then.match(s, at)
}

func (n *rxNode) sequence(s []byte, at, kid int, then *rxNext) int {
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
		return then.match(s, at)
	case kid == len(n.kids)-1:
		return n.kids[kid].match(s, at, then)
	}
	return n.kids[kid].match(s, at, &rxNext{node: n, kid: kid + 1, then: then})
}

func (n *rxNode) repeat(s []byte, at, done int, then *rxNext) int {
	if set := n.kids[0].set; set != nil && !n.lazy {
		// Of single characters: as many as there are, then one less at a time.
		end, count := at, 0
		for n.max < 0 || count < n.max {
			r, size := runeAt(s, end)
			if size == 0 || !set.has(r) {
				break
			}
			end, count = end+size, count+1
		}
		for ; count >= n.min; count-- {
			if to := then.match(s, end); to >= 0 {
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
		if n.max >= 0 && done >= n.max {
			return -1
		}
		return n.kids[0].match(s, at, &rxNext{node: n, kid: done + 1, from: at, then: then})
	}
	if done < n.min {
		return more()
	}
	if n.lazy {
		if to := then.match(s, at); to >= 0 {
			return to
		}
		return more()
	}
	if to := more(); to >= 0 {
		return to
	}
	return then.match(s, at)
}

// find returns the first match at or behind at; start is -1 if there is none.
func (x *regex) find(s []byte, at int) (start, end int) {
	for {
		if end := x.match(s, at); end >= 0 {
			return at, end
		}
		if at >= len(s) {
			return -1, -1
		}
		_, n := runeAt(s, at)
		at += n
	}
}
