package tokenizer

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// FuzzParse feeds the readers with anything. What they accept must encode and
// decode.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.model")
	jsons, _ := filepath.Glob("testdata/*.json")
	for _, file := range append(files, jsons...) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)/2])
		if tok, err := Parse(file, data); err == nil {
			if kv, err := GGUF(tok.(*BPE)); err == nil {
				f.Add(ggufBytes(f, kv))
			}
			var b bytes.Buffer
			if WriteBin(&b, tok.(*BPE)) == nil {
				f.Add(b.Bytes())
			}
		}
	}
	rng := rand.New(rand.NewPCG(9, 9))
	for range 8 {
		var b bytes.Buffer
		if err := WriteModel(&b, randomBPE(rng, true, true)); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	text := []byte("a  b<s>\xff日本 aab\n▁cc don't 123")
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := Parse("fuzz", data)
		if err != nil {
			return
		}
		for _, id := range tok.Encode(nil, text) {
			if id < 0 || int(id) >= tok.Vocab() {
				t.Fatalf("id %d of %d", id, tok.Vocab())
			}
		}
		s := NewStream(tok)
		for id := range min(tok.Vocab(), 300) {
			if out := s.Next(int32(id)); !utf8.Valid(out) && tok.(*BPE).cfg.Family == ByteLevel {
				t.Fatalf("id %d streams %q", id, out)
			}
		}
		s.Flush()
		_ = Info(tok).String()
	})
}

// FuzzEncode compares encoding with its definition, on a trained vocabulary
// and on one full of oddities.
func FuzzEncode(f *testing.F) {
	tok, err := Open("testdata/llama_like.model")
	if err != nil {
		f.Fatal(err)
	}
	llama := tok.(*BPE)
	for i, c := range golden(f, "llama_like") {
		f.Add(uint64(i), []byte(c.text))
	}
	f.Fuzz(func(t *testing.T, seed uint64, text []byte) {
		if len(text) > 1<<10 {
			return // the definition is quadratic
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		for _, tok := range []*BPE{llama, randomBPE(rng, seed%4 == 0, seed%3 == 0)} {
			want := naiveEncode(tok, string(text))
			if got := tok.Encode(nil, text); !slices.Equal(got, want) {
				t.Fatalf("%+v\n%s\n%q:\n got %v\nwant %v", tok.cfg, describe(tok), text, got, want)
			}
		}
		if utf8.Valid(text) {
			want := strings.ReplaceAll(string(text), space, " ")
			if got := string(llama.Decode(nil, llama.Encode(nil, text))); got != want {
				t.Fatalf("%q comes back as %q", want, got)
			}
		}
	})
}

// The alternatives of each pattern, in order, for a slow reading of it. Go's
// regexp cannot look ahead: \s+(?!\S) is spelled here as \s+$ and cut by hand.
var (
	spaceRE      = `[\t\n\v\f\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}]`
	alternatives = map[cutter][]string{
		cutGPT2:   {`'s|'t|'re|'ve|'m|'ll|'d`, ` ?\p{L}+`, ` ?\p{N}+`, ` ?[^\s\p{L}\p{N}]+`, `\s+$`, `\s+`},
		cutLlama3: {`(?i:'s|'t|'re|'ve|'m|'ll|'d)`, `[^\r\n\p{L}\p{N}]?\p{L}+`, `\p{N}{1,3}`, ` ?[^\s\p{L}\p{N}]+[\r\n]*`, `\s*[\r\n]+`, `\s+$`, `\s+`},
		cutQwen2:  {`(?i:'s|'t|'re|'ve|'m|'ll|'d)`, `[^\r\n\p{L}\p{N}]?\p{L}+`, `\p{N}`, ` ?[^\s\p{L}\p{N}]+[\r\n]*`, `\s*[\r\n]+`, `\s+$`, `\s+`},
	}
)

// slowPattern is one alternative; ahead says that white space must follow it
// or nothing at all.
type slowPattern struct {
	re    *regexp.Regexp
	ahead bool
}

var slowPatterns = sync.OnceValue(func() map[cutter][]slowPattern {
	out := map[cutter][]slowPattern{}
	class := strings.Trim(spaceRE, "[]")
	for c, alts := range alternatives {
		for _, alt := range alts {
			re, ahead := strings.CutSuffix(alt, "$")
			re = strings.ReplaceAll(re, `[^\s`, `[^`+class)
			re = strings.ReplaceAll(re, `\s`, spaceRE)
			out[c] = append(out[c], slowPattern{regexp.MustCompile(`^(?:` + re + `)`), ahead})
		}
	}
	return out
})

func slowCut(c cutter, s string) string {
	for _, p := range slowPatterns()[c] {
		m := p.re.FindString(s)
		if p.ahead && len(m) < len(s) && m != "" {
			_, n := utf8.DecodeLastRuneInString(m)
			m = m[:len(m)-n]
		}
		if m != "" {
			return m
		}
	}
	return ""
}

func TestCut(t *testing.T) {
	for c := range alternatives {
		for _, g := range golden(t, "llama3") {
			checkCut(t, c, g.text)
		}
	}
	if n := cutDigits.next([]byte("ab12")); n != 2 {
		t.Errorf("ab12 cut at %d", n)
	}
	if n := cutDigits.next([]byte("½2")); n != 2 {
		t.Errorf("½2 cut at %d", n)
	}
}

func checkCut(t *testing.T, c cutter, s string) {
	t.Helper()
	for s != "" {
		want := slowCut(c, s)
		got := s[:c.next([]byte(s))]
		if got != want {
			t.Fatalf("pattern %d: %q starts with %q, want %q", c, s, got, want)
		}
		s = s[len(got):]
	}
}

// FuzzCut compares the scanners with the patterns that they stand for.
func FuzzCut(f *testing.F) {
	for _, c := range golden(f, "llama3") {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) || len(s) > 200 {
			return
		}
		for _, r := range s {
			if r > 0xFFFF {
				return // Go's tables of letters are older
			}
		}
		for c := range alternatives {
			checkCut(t, c, s)
		}
	})
}
