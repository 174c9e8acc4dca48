package tokenizer

import (
	"strings"
	"testing"
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
		if err != nil || len(text) > 100 || strings.Count(pattern, "{") > 3 {
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
