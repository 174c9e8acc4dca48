package tokenizer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
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
// What is repeated without bound is single characters, never groups, and what
// follows a repetition depends on where it ends alone. So ends at which the rest
// did not match are remembered, and none is tried twice: time is linear in the text,
// whatever the text, and the stack bounded by the expression. The other ways in which
// an expression can match at one place are counted when it is read, and too many
// are an error.

// regex is a compiled expression.
type regex struct {
	source string
	node   *rxNode
	runs   int       // unbounded repetitions
	idle   sync.Pool // of *rxState
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
	run      int // of unbounded repetitions: their number
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
	maxRegexWork  = 1 << 14 // steps at one place of a text
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
	if ways, length := n.work(); ways*length > maxRegexWork {
		return nil, fmt.Errorf("pattern %q is not supported: it has too many ways to match at one place", source)
	}
	return &regex{source: source, node: n, runs: p.runs}, nil
}

// work bounds in how many ways an expression can match at one place, where each
// unbounded repetition counts as one, and how many characters a way looks at. Both
// stop counting behind maxRegexWork.
func (n *rxNode) work() (ways, length int) {
	bound := func(n int) int { return min(n, 2*maxRegexWork) }
	switch n.kind {
	case rxSeq:
		ways = 1
		for _, kid := range n.kids {
			w, l := kid.work()
			ways, length = bound(ways*w), bound(length+l)
		}
	case rxAlt:
		for _, kid := range n.kids {
			w, l := kid.work()
			ways, length = bound(ways+w), bound(max(length, l))
		}
	case rxRepeat:
		w, l := n.kids[0].work()
		if n.max < 0 {
			return 1, l
		}
		power := 1
		for k := 0; k <= n.max; k++ {
			if k >= n.min {
				ways = bound(ways + power)
			}
			power = bound(power * w)
		}
		length = bound(l * n.max)
	case rxLook, rxAtomic:
		// Each of its ways is tried, though at most one is gone on with.
		w, l := n.kids[0].work()
		return 1, bound(w * l)
	default:
		return 1, 1
	}
	return max(ways, 1), max(length, 1)
}

type rxParser struct {
	rest string
	runs int
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
		// More than one of a character before there is no end: so many, and then
		// any number.
		first := r.min
		if r.max < 0 && r.min > 1 {
			r.min = 0
		}
		if r.max < 0 {
			r.run = p.runs
			p.runs++
		}
		n = r
		if r.max < 0 && first > 1 {
			n = &rxNode{kind: rxSeq, kids: []*rxNode{{kind: rxRepeat, kids: r.kids, min: first, max: first}, r}}
		}
		if p.skip("?") {
			r.lazy = true
		} else if p.skip("+") {
			n = &rxNode{kind: rxAtomic, kids: []*rxNode{n}}
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
