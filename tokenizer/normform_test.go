package tokenizer

import (
	"math/rand/v2"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

var normForms = []struct {
	form            norm.Form
	compose, compat bool
}{{norm.NFC, true, false}, {norm.NFD, false, false}, {norm.NFKC, true, true}, {norm.NFKD, false, true}}

// The normal forms of all characters, and of marks in any order, are those of
// golang.org/x/text, but for characters that Hugging Face's library is too old
// for.
func TestNormalForms(t *testing.T) {
	check := func(s string) {
		for _, f := range normForms {
			if got, want := string(normalForm(nil, []byte(s), f.compose, f.compat)), f.form.String(s); got != want {
				t.Fatalf("%+q in form %d: %+q, want %+q", s, f.form, got, want)
			}
		}
	}
	var odd []rune // what changes, and what it changes to
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) || unicode.Is(notDecomposed, r) {
			continue
		}
		s := string(r)
		check(s)
		// x/text looks pairs up by 16 bits, and finds some that are none.
		if r >= 1<<16 {
			continue
		}
		check("a" + s + "\u0301")
		if norm.NFKD.String(s) != s || norm.NFD.PropertiesString(s).CCC() != 0 {
			odd = append(odd, r)
			for _, c := range norm.NFKD.String(s) {
				odd = append(odd, c)
			}
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		var s []rune
		for range 1 + rng.IntN(12) {
			switch rng.IntN(4) {
			case 0:
				s = append(s, rune('a'+rng.IntN(26)))
			default:
				if r := odd[rng.IntN(len(odd))]; !unicode.Is(notDecomposed, r) {
					s = append(s, r)
				}
			}
		}
		check(string(s))
	}
	// Bytes that are no UTF-8 pass.
	if got := string(normalForm(nil, []byte("e\u0301\xffe\u0301\xc3a\u0301"), true, false)); got != "é\xffé\xc3á" {
		t.Errorf("%q", got)
	}
}
