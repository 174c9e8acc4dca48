package tokenizer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// naiveEncode is SentencePiece's byte-pair encoding as one would define it:
// normalise, cut into characters, merge the best pair until none is left. It
// is quadratic and knows nothing of tries, ranks or compatible pairs.
func naiveEncode(t *BPE, text string) []int32 {
	if text == "" {
		return nil
	}
	normal := map[string]int32{}   // what merging can make
	reserved := map[string]int32{} // what wins when a symbol is looked up
	user := map[string]int32{}
	for i, p := range t.pieces {
		switch p.Kind {
		case KindNormal, KindUnused:
			normal[p.Text] = int32(i)
		case KindUserDefined:
			normal[p.Text], user[p.Text] = int32(i), int32(i)
		default:
			reserved[p.Text] = int32(i)
		}
	}
	longestUser := func(s string) string {
		best := ""
		for u := range user {
			if strings.HasPrefix(s, u) && len(u) > len(best) {
				best = u
			}
		}
		return best
	}
	s := naiveNormalize(t.cfg, text, longestUser)
	type symbol struct {
		text   string
		frozen bool
	}
	var syms []symbol
	for s != "" {
		if u := longestUser(s); u != "" {
			syms, s = append(syms, symbol{u, true}), s[len(u):]
			continue
		}
		_, n := utf8.DecodeRuneInString(s)
		syms, s = append(syms, symbol{s[:n], false}), s[n:]
	}
	parts := map[string][2]string{} // unused pieces and what they were made of
	note := func(i int) {
		if i < 0 || i+1 >= len(syms) || syms[i].frozen || syms[i+1].frozen {
			return
		}
		whole := syms[i].text + syms[i+1].text
		if id, ok := normal[whole]; ok && t.pieces[id].Kind == KindUnused {
			parts[whole] = [2]string{syms[i].text, syms[i+1].text}
		}
	}
	for i := range syms {
		note(i)
	}
	for {
		best, at := float32(0), -1
		for i := 0; i+1 < len(syms); i++ {
			if syms[i].frozen || syms[i+1].frozen {
				continue
			}
			if id, ok := normal[syms[i].text+syms[i+1].text]; ok && (at < 0 || t.pieces[id].Score > best) {
				best, at = t.pieces[id].Score, i
			}
		}
		if at < 0 {
			break
		}
		syms[at].text += syms[at+1].text
		syms = slices.Delete(syms, at+1, at+2)
		note(at - 1)
		note(at)
	}
	var out []int32
	unknown := false
	var emit func(w string)
	emit = func(w string) {
		id, ok := reserved[w]
		if !ok {
			id, ok = normal[w]
		}
		if !ok {
			id = t.unk
		}
		if p, split := parts[w]; split && t.pieces[id].Kind == KindUnused {
			emit(p[0])
			emit(p[1])
			return
		}
		switch {
		case id == t.unk && t.cfg.ByteFallback:
			for i := 0; i < len(w); i++ {
				out = append(out, t.bytes[w[i]])
			}
		case id == t.unk && unknown:
		default:
			out = append(out, id)
		}
		unknown = id == t.unk
	}
	for _, sym := range syms {
		emit(sym.text)
	}
	return out
}

func naiveNormalize(cfg Config, text string, user func(string) string) string {
	var units []string
	for text != "" {
		if u := user(text); u != "" {
			units, text = append(units, u), text[len(u):]
			continue
		}
		r, n := utf8.DecodeRuneInString(text)
		unit := text[:n]
		if r == utf8.RuneError && n == 1 {
			unit = "\uFFFD"
		}
		units, text = append(units, unit), text[n:]
	}
	mark := " "
	if cfg.EscapeSpaces {
		mark = space
	}
	out := ""
	if cfg.RemoveExtraSpaces {
		for len(units) > 0 && units[0] == " " {
			units = units[1:]
		}
		if len(units) == 0 {
			return ""
		}
	}
	if cfg.DummyPrefix && !cfg.SpaceAsSuffix {
		out += mark
	}
	gap := cfg.RemoveExtraSpaces
	for _, u := range units {
		if gap {
			u = strings.TrimLeft(u, " ")
		}
		if u != "" {
			gap = cfg.RemoveExtraSpaces && strings.HasSuffix(u, " ")
		}
		out += strings.ReplaceAll(u, " ", mark)
	}
	for cfg.RemoveExtraSpaces && strings.HasSuffix(out, mark) {
		out = strings.TrimSuffix(out, mark)
	}
	if cfg.DummyPrefix && cfg.SpaceAsSuffix {
		out += mark
	}
	return out
}

// randomBPE makes a small vocabulary full of what real ones lack: equal scores,
// pieces whose characters are none, pieces that merging cannot reach, unused
// and user-defined pieces, pieces spelled like reserved ones.
func randomBPE(rng *rand.Rand, unused, user bool) *BPE {
	alphabet := []string{"a", "b", "c", space, "é", "日", "\n", "\U0001F600"}[:3+rng.IntN(6)]
	pieces := []Piece{{"<unk>", 0, KindUnknown}, {"<s>", 0, KindControl}, {"</s>", 0, KindControl}}
	cfg := Config{
		ByteFallback: rng.IntN(2) == 0, DummyPrefix: rng.IntN(3) > 0, EscapeSpaces: rng.IntN(8) > 0,
		RemoveExtraSpaces: rng.IntN(4) == 0, SpaceAsSuffix: rng.IntN(6) == 0, UnknownSurface: defaultUnknown,
	}
	if rng.IntN(4) == 0 {
		pieces = append(pieces, Piece{"b", 0, KindControl})
	}
	if cfg.ByteFallback {
		for b := range 256 {
			pieces = append(pieces, Piece{bytePiece(byte(b)), 0, KindByte})
		}
	}
	seen := map[string]bool{}
	scores := 1 + rng.IntN(40)
	add := func(text string, kind Kind) {
		if !seen[text] {
			seen[text] = true
			pieces = append(pieces, Piece{text, -float32(rng.IntN(scores)), kind})
		}
	}
	for _, c := range alphabet {
		if rng.IntN(6) > 0 {
			add(c, KindNormal)
		}
	}
	made := slices.Clone(alphabet)
	for range rng.IntN(40) {
		text := made[rng.IntN(len(made))] + made[rng.IntN(len(made))]
		if rng.IntN(10) == 0 {
			text += alphabet[rng.IntN(len(alphabet))]
		}
		if utf8.RuneCountInString(text) > 12 {
			continue
		}
		kind := KindNormal
		switch {
		case unused && rng.IntN(4) == 0:
			kind = KindUnused
		case user && rng.IntN(8) == 0:
			kind = KindUserDefined
		}
		if kind == KindUserDefined && rng.IntN(3) == 0 {
			text += "  " // only the normaliser ever meets this one
		}
		add(text, kind)
		made = append(made, text)
	}
	t, err := newBPE(pieces, cfg)
	if err != nil {
		panic(err)
	}
	return t
}

func randomText(rng *rand.Rand) string {
	units := []string{"a", "b", "c", "a", "b", " ", space, "é", "日", "\n", "\U0001F600", "x", "\xff", "\xe6\x97", "  "}
	var s strings.Builder
	n := len(units)
	if rng.IntN(2) == 0 {
		n = 2 + rng.IntN(4)
	}
	for range rng.IntN(60) {
		s.WriteString(units[rng.IntN(n)])
	}
	return s.String()
}

func TestEncodeEqualsDefinition(t *testing.T) {
	for _, kind := range []struct {
		name         string
		unused, user bool
	}{{"normal", false, false}, {"user", false, true}, {"unused", true, false}, {"both", true, true}} {
		t.Run(kind.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			for v := range 250 {
				tok := randomBPE(rng, kind.unused, kind.user)
				for range 20 {
					text := randomText(rng)
					want := naiveEncode(tok, text)
					if got := tok.Encode(nil, []byte(text)); !slices.Equal(got, want) {
						t.Fatalf("vocabulary %d, %+v\n%s\n%q:\n got %v\nwant %v", v, tok.cfg, describe(tok), text, got, want)
					}
				}
			}
		})
	}
}

func describe(t *BPE) string {
	var s strings.Builder
	for i, p := range t.pieces {
		if p.Kind != KindByte {
			fmt.Fprintf(&s, "%d %q %g %d; ", i, p.Text, p.Score, p.Kind)
		}
	}
	return s.String()
}

// Text that repeats gives the longest chains of decisions: all short strings
// over two letters, and long runs.
func TestEncodeRuns(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 40 {
		tok := randomBPE(rng, false, false)
		for n := range 9 {
			for bits := range 1 << n {
				b := make([]byte, n)
				for i := range b {
					b[i] = 'a' + byte(bits>>i&1)
				}
				checkIDs(t, tok, string(b), naiveEncode(tok, string(b)))
			}
		}
		for _, n := range []int{200, 255, 256, 257, 300, 600} {
			text := strings.Repeat("a", n) + strings.Repeat("ab", n/2)
			checkIDs(t, tok, text, naiveEncode(tok, text))
		}
		if t.Failed() {
			t.Fatal(describe(tok))
		}
	}
}
