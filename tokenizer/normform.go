package tokenizer

import (
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"
)

//go:generate go run ../internal/normgen

// Unicode's normal forms (UAX #15). The tables in normtable.go are those of
// golang.org/x/text/unicode/norm, which programs that llamac generates do not
// link: they build from the standard library alone.

// normData is the tables unpacked: decompositions in full, and the pairs that
// compose.
type normData struct {
	canonical, compat map[rune]string
	class             map[rune]uint8 // combining classes other than 0
	pairs             map[[2]rune]rune
}

// normTables unpacks the tables when a text first needs them.
var normTables = sync.OnceValue(func() *normData {
	d := &normData{canonical: map[rune]string{}, compat: map[rune]string{}, class: map[rune]uint8{}, pairs: map[[2]rune]rune{}}
	unpack := func(s string, into map[rune]string) {
		for rest := []rune(s); len(rest) > 0; {
			n := 2 + int(rest[1]-'0')
			into[rest[0]] = string(rest[2:n])
			rest = rest[n:]
		}
	}
	unpack(canonicalTable, d.canonical)
	unpack(compatTable, d.compat)
	for rest := []rune(classTable); len(rest) > 0; rest = rest[3:] {
		for r := rest[0]; r <= rest[1]; r++ {
			d.class[r] = uint8(rest[2])
		}
	}
	for rest := []rune(pairTableNorm); len(rest) > 0; rest = rest[3:] {
		d.pairs[[2]rune{rest[0], rest[1]}] = rest[2]
	}
	return d
})

// The syllables of Hangul are made by rule.
const (
	hangulBase, hangulL, hangulV, hangulT = 0xAC00, 0x1100, 0x1161, 0x11A7
	hangulLs, hangulVs, hangulTs          = 19, 21, 28
	hangulCount                           = hangulLs * hangulVs * hangulTs
)

// normalForm appends text in NFC, NFD, NFKC or NFKD.
func normalForm(dst, text []byte, compose, compat bool) []byte {
	for len(text) > 0 {
		// Nothing below U+0080 decomposes; the last such character before a
		// mark is left to compose.
		n := 0
		for n < len(text) && text[n] < utf8.RuneSelf {
			n++
		}
		if n == len(text) {
			return append(dst, text...)
		}
		if n > 0 {
			dst, text = append(dst, text[:n-1]...), text[n-1:]
		}
		// A stretch that ends at the next byte that is no UTF-8.
		end := 0
		for end < len(text) {
			r, n := utf8.DecodeRune(text[end:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			end += n
			// ASCII behind ASCII: nothing reaches across.
			if end+1 < len(text) && text[end-1] < utf8.RuneSelf && text[end] < utf8.RuneSelf && text[end+1] < utf8.RuneSelf {
				break
			}
		}
		dst = appendNormal(dst, text[:end], compose, compat)
		text = text[end:]
		if len(text) > 0 && text[0] >= utf8.RuneSelf {
			if r, n := utf8.DecodeRune(text); r == utf8.RuneError && n == 1 {
				dst, text = append(dst, text[0]), text[1:]
			}
		}
	}
	return dst
}

// appendNormal does so for valid UTF-8 that nothing before or behind composes
// with.
func appendNormal(dst, text []byte, compose, compat bool) []byte {
	d := normTables()
	var runes []rune
	for _, r := range string(text) {
		runes = d.decompose(runes, r, compat)
	}
	// Marks in the order of their classes, those of one class as they came.
	for i := 0; i < len(runes); {
		if d.class[runes[i]] == 0 {
			i++
			continue
		}
		end := i
		for end < len(runes) && d.class[runes[end]] != 0 {
			end++
		}
		slices.SortStableFunc(runes[i:end], func(a, b rune) int { return int(d.class[a]) - int(d.class[b]) })
		i = end
	}
	if compose {
		runes = d.compose(runes)
	}
	for _, r := range runes {
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

// decompose appends a character's full decomposition.
func (d *normData) decompose(dst []rune, r rune, compat bool) []rune {
	if s := r - hangulBase; 0 <= s && s < hangulCount {
		dst = append(dst, hangulL+s/(hangulVs*hangulTs), hangulV+s%(hangulVs*hangulTs)/hangulTs)
		if t := s % hangulTs; t > 0 {
			dst = append(dst, hangulT+t)
		}
		return dst
	}
	if unicode.Is(notDecomposed, r) {
		return append(dst, r)
	}
	if compat {
		if s, ok := d.compat[r]; ok {
			return append(dst, []rune(s)...)
		}
	}
	if s, ok := d.canonical[r]; ok {
		return append(dst, []rune(s)...)
	}
	return append(dst, r)
}

// compose joins pairs in place: a mark goes with the last starter unless one
// between them has its class or a higher one.
func (d *normData) compose(runes []rune) []rune {
	out := runes[:0]
	starter := -1
	last := 0 // class of what was put out last behind the starter
	for _, r := range runes {
		class := int(d.class[r])
		if starter >= 0 && (last < class || last == 0 && starter == len(out)-1) {
			if c := d.pair(out[starter], r); c != 0 {
				out[starter] = c
				continue
			}
		}
		if class == 0 {
			starter = len(out)
		}
		last = class
		out = append(out, r)
	}
	return out
}

// pair gives what two characters compose to, 0 for nothing.
func (d *normData) pair(a, b rune) rune {
	if l, v := a-hangulL, b-hangulV; 0 <= l && l < hangulLs && 0 <= v && v < hangulVs {
		return hangulBase + (l*hangulVs+v)*hangulTs
	}
	if s, t := a-hangulBase, b-hangulT; 0 <= s && s < hangulCount && s%hangulTs == 0 && 0 < t && t < hangulTs {
		return a + t
	}
	return d.pairs[[2]rune{a, b}]
}
