package tokenizer

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// Matches at the start of a text, as Oniguruma has them: the length, -1 for none.
func TestRegex(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          int
	}{
		{`\s+(?!\S)|\s+`, "   x", 2},
		{`\s+(?!\S)`, " x", -1},
		{`\s+$`, "  \nx", 2},
		{`\s+$`, " \t\nx", 2},
		{`a$`, "a\nb", 1},
		{`^a`, "a", 1},
		{`a|ab`, "ab", 1},
		{`(a|ab)c`, "abc", 3},
		{`a+?b`, "aab", 3},
		{`a++a`, "aaa", -1},
		{`(?>a+)b`, "aab", 3},
		{`a{2,3}`, "aaaa", 3},
		{`a{2}`, "a", -1},
		{`a{,2}b`, "aab", 3},
		{`(?:ab){2}`, "abab", 4},
		{`(?:ab)?c`, "c", 1},
		{`[^\s\p{L}\p{N}]+`, "!?a", 2},
		{`[a-c\]\-]+`, "b]-d", 3},
		{`[\x{4e00}-\u9fa5]+`, "日本x", 6},
		{`(?i:'s|'ll)`, "'S", 2},
		{`(?i:'[sdmt]|ll)`, "'ſ", 3},
		{`\p{Lu}\p{^Lu}`, "Aa", 2},
		{`\P{L}+`, "12a", 2},
		{`\d+\w*`, "٣a_é ", 6},
		{`.+`, "ab\nc", 2},
		{`\A\n\z`, "\n", 1},
		{`(?=ab)a`, "ab", 1},
		{`(?=ab)a`, "ac", -1},
		{`\p{Han}`, "日", 3},
		{``, "x", 0},
	} {
		x, err := compileRegex(c.pattern)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := x.match([]byte(c.text), 0); got != c.want {
			t.Errorf("%q on %q: %d, want %d", c.pattern, c.text, got, c.want)
		}
	}
}

func TestRegexRefused(t *testing.T) {
	for pattern, want := range map[string]string{
		`(a+)+`: "group", `(?:ab)*`: "group", `(?:a+){2}`: "repetitions", `((a?)?)?`: "repetitions", `(?<=a)b`: "(?<=", `[a&&b]`: "intersection", `[[:alpha:]]`: "class within",
		`\bx`: `\b`, `(?i:ss)`: "ss", `(?i:Straße|St)`: "st", `a**`: "repetition", `a{3,2}`: "repetition", `(a`: "closed", `[a`: "closed",
		`\p{Nope}`: "Nope", `*a`: "*", `a)`: ")", `(?m)a`: "(?m", `\1`: `\1`, `a{2}+`: "repetition", `[b-a]`: "range", `(?!a)*`: "length",
		strings.Repeat("(", 100) + strings.Repeat(")", 100): "deeper", strings.Repeat("a", 5000): "5000",
	} {
		if _, err := compileRegex(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want an error with %q", pattern, err, want)
		}
	}
}

// The scanners by hand cut as the expressions that they stand for.
func TestScannersAreTheirPatterns(t *testing.T) {
	for pattern, cut := range patterns {
		x, err := compileRegex(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range golden(t, "llama3") {
			checkScanner(t, x, cut, c.text)
		}
	}
}

func checkScanner(t *testing.T, x *regex, cut cutter, text string) {
	t.Helper()
	for s := []byte(text); len(s) > 0; {
		n := cut.next(s)
		if want := x.match(s, 0); n != want {
			t.Fatalf("%q: %q begins with %d bytes, the scanner says %d", x.source, s, want, n)
		}
		s = s[n:]
	}
}

// FuzzRegex compiles anything and matches it: neither may panic or hang.
func FuzzRegex(f *testing.F) {
	for pattern := range patterns {
		f.Add(pattern, "don't  123\n\n x日本 ")
	}
	f.Add(`\s?[!-/:-~！-／]+|\s+$|(?>a?b{2,3})`, " a!")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		x, err := compileRegex(pattern)
		if err != nil || len(text) > 4096 {
			return
		}
		if start, end := x.find([]byte(text), 0); start > end || end > len(text) {
			t.Fatalf("%q on %q: %d to %d", pattern, text, start, end)
		}
	})
}

// FuzzScanners compares the scanners with their expressions on any text.
func FuzzScanners(f *testing.F) {
	for _, c := range golden(f, "llama3") {
		f.Add(c.text)
	}
	compiled := map[*regex]cutter{}
	for pattern, cut := range patterns {
		x, err := compileRegex(pattern)
		if err != nil {
			f.Fatal(err)
		}
		compiled[x] = cut
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) || len(s) > 200 {
			return
		}
		for x, cut := range compiled {
			checkScanner(t, x, cut, s)
		}
	})
}

// TestRegexIsLinear: no pattern that is read takes more than a bounded number of
// steps for each byte, whatever the text. Hostile files must not hang a program.
func TestRegexIsLinear(t *testing.T) {
	for _, pattern := range []string{strings.Repeat("a?", 30) + strings.Repeat("a", 30), `(?:a|a|b){30}c`, `(?:a|b|ab){1,20}`, strings.Repeat(`a{0,100}`, 3) + "b"} {
		if _, err := compileRegex(pattern); err == nil || !strings.Contains(err.Error(), "too many ways to match") {
			t.Errorf("%.40q: %v", pattern, err)
		}
	}
	const n = 1 << 17
	texts := map[string]string{"spaces": strings.Repeat(" ", n), "newlines": strings.Repeat("\n", n), "digits": strings.Repeat("1", n), "letters": strings.Repeat("a", n),
		"upper": strings.Repeat("A", n), "mixed": strings.Repeat("aA", n/2), "emoji": strings.Repeat("\U0001f642", n/4), "punctuation": strings.Repeat("!/", n/2), "bad": strings.Repeat("\xe2", n)}
	hostile := []string{`\s+$`, `\s++$`, `\s+?$`, `a*a*a*a*b`, `(?=a*a)c`, `(?>a+)b`, ` ?a*b|a`, `[aA]*[a-z]*[aA]+1`, `.*.*.*x`, `.{2,}?x`, `(?!.*x)y`}
	for name, text := range texts {
		for _, pattern := range hostile {
			x, err := compileRegex(pattern)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range []string{text, text + "x", "x" + text + "?"} {
				began := time.Now()
				find := findRegex(x)(nil, []byte(s))
				if d := time.Since(began); d > 3*time.Second || len(find) == 0 {
					t.Errorf("%s, %s: %v", pattern, name, d)
				}
			}
		}
	}
}

// TestRegexRemembers: what is remembered of a text never changes what matches.
func TestRegexRemembers(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	atoms := []string{"a", "b", "[ab]", ".", `\s`, "(?=a)", "(?!b)", "(?:a|ab)", "(?=a*b)", "(?>a*)", "$", "(?:b|a*)"}
	counts := []string{"", "", "*", "+", "?", "*?", "+?", "++", "{2,}", "{1,2}", "{2,}?"}
	tried := 0
	for tried < 4000 {
		var p strings.Builder
		for range 1 + rng.IntN(4) {
			p.WriteString(atoms[rng.IntN(len(atoms))] + counts[rng.IntN(len(counts))])
		}
		x, err := compileRegex(p.String())
		if err != nil {
			continue
		}
		tried++
		text := make([]byte, rng.IntN(14))
		for i := range text {
			text[i] = "aaabb \n"[rng.IntN(7)]
		}
		m := x.begin()
		for at := range len(text) + 1 {
			if got, want := x.node.match(m, text, at, nil), x.match(text, at); got != want {
				t.Fatalf("%q on %q at %d: %d, from nothing %d", p.String(), text, at, got, want)
			}
			// The definition, where Go's own library has the same meaning.
			if re, err := regexp.Compile(`(?m)^(?:` + p.String() + `)`); err == nil && at == 0 && !strings.Contains(p.String(), "++") && !strings.Contains(p.String(), "$") {
				want := -1
				if loc := re.FindIndex(text); loc != nil && loc[0] == 0 {
					want = loc[1]
				}
				if got := x.match(text, 0); got != want {
					t.Fatalf("%q on %q: %d, want %d", p.String(), text, got, want)
				}
			}
		}
	}
}
