package tokenizer

import (
	"strconv"
	"strings"
	"sync"
)

// Training does not join characters of different scripts. SentencePiece uses
// the Script property of Unicode 9 for that (newer characters count as Common,
// and so do a few historic ones that its table leaves out), so Go's own tables,
// which follow newer versions, would give other pieces.

// script numbers a script. Only some have a name here; all that matters of the
// others is whether they are the same.
//
// Numbers are given in the order of the table, and never leave the process.
type script int16

const (
	scriptNone   script = -2 // of spaces and accents: as the character before
	scriptAny    script = -1 // goes with every script before and after
	scriptCommon script = 0
)

// scriptSet holds the scripts of all characters that are not Common.
// The plane is an array of 128 kB: training looks up every character of its
// text.
//
// The characters beyond the plane are few and rare, so that a list is searched
// for them.
type scriptSet struct {
	plane     [1 << 16]script // of the Basic Multilingual Plane
	high      []scriptRange   // of the rest, in no order
	han       script
	inherited script
	japanese  [2]script // Hiragana, Katakana
}

type scriptRange struct {
	lo, hi rune
	script script
}

// scripts parses scriptTable, once.
var scripts = sync.OnceValue(func() *scriptSet {
	s := new(scriptSet)
	var number script
	at := rune(0)
	// Names end in a colon; numbers are distances, which are shorter than the
	// characters themselves.
	for _, word := range strings.Fields(scriptTable) {
		if name, ok := strings.CutSuffix(word, ":"); ok {
			number, at = number+1, 0
			switch name {
			case "Han":
				s.han = number
			case "Inherited":
				// A range counts from the end of the last one of the same
				// script.
				s.inherited = number
			case "Hiragana":
				s.japanese[0] = number
			case "Katakana":
				s.japanese[1] = number
			}
			continue
		}
		gap, more, _ := strings.Cut(word, "-")
		lo := at + hexRune(gap)
		at = lo + hexRune(more)
		// What lies in the plane goes into the array, the rest into the list.
		for r := lo; r <= at && r < 1<<16; r++ {
			s.plane[r] = number
		}
		if at >= 1<<16 {
			s.high = append(s.high, scriptRange{max(lo, 1<<16), at, number})
		}
	}
	return s
})

// hexRune reads a number of the table.
func hexRune(s string) rune {
	n, err := strconv.ParseUint(s, 16, 32)
	if err != nil {
		return 0 // an empty part of the table
	}
	return rune(n)
}

// of returns the script of a character.
//
// What no range holds is Common, which is 0, the array's initial value.
func (s *scriptSet) of(r rune) script {
	if r < 1<<16 {
		return s.plane[r]
	}
	// A few dozen ranges, and rare characters.
	for i := range s.high {
		if r >= s.high[i].lo && r <= s.high[i].hi {
			return s.high[i].script
		}
	}
	// Also what is newer than the table.
	return scriptCommon
}

// joint is the script of a character as far as joining goes: Japanese writes
// Hiragana, Katakana and Han together.
func (s *scriptSet) joint(r rune) script {
	const longVowel = 0x30FC // ー, whose script is Common
	// The long vowel is written with both syllabaries.
	c := s.of(r)
	if c == s.japanese[0] || c == s.japanese[1] || r == longVowel {
		return s.han
	}
	return c
}

// scriptTable lists the ranges of each script in hexadecimal: the distance from
// the end of the range before to the first character, and after a dash how many
// more follow.
const scriptTable = `
Adlam: 1e900-4a 6-9 5-1
Ahom: 11700-19 4-e 5-f
Arabic: 600-4 2-5 2-d 4 2-1f 2-9 c-19 2-6b 2-21 51-2f 121-14 2-7 17-d 2-1c f251-71 12-16a 13-3f 3-35 29-d 73-4 2-86
 f64-1e df82-3 2-1a 2-1 2 3 2-9 2-3 2 2 7 5 2 2 2-2 2-1 2 3 2 2 2 2 2-1 2 3-3 2-6 2-3 2-3 2 2-9 2-10 6-2 2-4 2-10
 35-1
Armenian: 531-25 3-6 2-26 3 3-2 f584-4
Avestan: 10b00-35 4-6
Balinese: 1b00-4b 5-2c
Bamum: a6a0-57 c109-238
Bassa_Vah: 16ad0-1d 3-5
Batak: 1bc0-33 9-3
Bengali: 980-3 2-7 3-1 3-15 2-6 2 4-3 3-8 3-1 3-3 9 5-1 2-4 3-15
Bhaiksuki: 11c00-8 2-2c 2-d b-1c
Bopomofo: 2ea-1 2e1a-28 73-1a
Brahmi: 11000-4d 5-1d 10
Braille: 2800-ff
Buginese: 1a00-1b 3-1
Buhid: 1740-13
Canadian_Aboriginal: 1400-27f 231-45
Carian: 102a0-30
Caucasian_Albanian: 10530-33 c
Chakma: 11100-34 2-d
Cham: aa00-36 a-d 3-9 3-3
Cherokee: 13a0-55 3-5 9773-4f
Coptic: 3e2-d 2891-73 6-6
Cuneiform: 12000-399 67-6e 2-4 c-c3
Cypriot: 10800-5 3 2-2b 2-1 4 3
Cyrillic: 400-84 3-a8 1751-8 a3 4d 1068-1f 7841-5f 578f-1
Deseret: 10400-4f
Devanagari: 900-50 3-10 3-19 9f61-1d
Duployan: 1bc00-6a 6-c 4-8 8-9 3-3
Elbasan: 10500-27
Ethiopic: 1200-48 2-3 3-6 2 2-3 3-28 2-3 3-20 2-3 3-6 2 2-3 3-e 2-38 2-3 3-42 3-1f 4-19 19e7-16 a-6 2-6 2-6 2-6 2-6
 2-6 2-6 2-6 7d23-5 3-5 3-5 a-6 2-6
Georgian: 10a0-25 2 6 3-2a 2-3 1c01-25 2 6
Glagolitic: 2c00-2e 2-2e 1b3a2-6 2-10 3-6 2-1 2-4
Gothic: 10330-1a
Grantha: 11300-3 2-7 3-1 3-15 2-6 2-1 2-4 3-8 3-1 3-2 3 7 6-6 3-6 4-4
Greek: 370-3 2-2 3-3 2 5 2 2-2 2 2-13 2-3e f-f 1927-4 33-4 5-4 55 141-15 3-5 3-25 3-5 3-7 2 2 2 2-1e 3-34 2-e 2-d
 3-5 2-12 3-2 2-8 128 8a3f 55db-4e 12 d060-45
Gujarati: a81-2 2-8 2-2 2-15 2-6 2-1 2-4 3-9 2-2 2-2 3 10-3 3-b 8
Gurmukhi: a01-2 2-5 5-1 3-15 2-6 2-1 2-1 2-1 3 2-4 5-1 3-2 4 8-3 2 8-f
Han: 2e80-19 2-58 d-d5 30 2 1a-8 f-3 3c5-19b5 4b-51d5 592b-16d 3-69 10527-a6d6 2a-1034 c-dd 3-1681 295f-21d
Hangul: 1100-ff 1e2f-1 102-5d 72-1e 42-1e 76e2-1c 284-2ba3 d-16 5-30 27a5-1e 4-5 3-5 3-5 3-2
Hanunoo: 1720-14
Hatran: 108e0-12 2-1 6-4
Hebrew: 591-36 9-1a 6-4 f529-19 2-4 2 2-1 2-1 2-9
Hiragana: 3041-55 7-2 17f62 41ff
Imperial_Aramaic: 10840-15 2-8
Inherited: 300-6f 116-1 1c5-a 1b 2e1-1 115e-e 212-2 2-c 2-6 5 7 4-1 c7-35 6-4 20d-1 c3-20 f3a-3 6c-1 cd66-f 11-d 3d0
 e3 ce87-2 12-7 3-6 1f-3 c2f53-ef
Javanese: a980-4d 3-9 5-1
Kaithi: 11080-41
Kannada: c80-3 2-7 2-2 2-16 2-9 2-4 3-8 2-2 2-3 8-1 8 2-3 3-9 2-1
Katakana: 30a1-59 3-2 f1-f d1-2e 2-57 cc0f-9 2-2c b063
Kayah_Li: a900-2d 2
Kharoshthi: 10a00-3 2-1 6-7 2-2 2-1a 5-2 5-8 9-8
Khmer: 1780-5d 3-9 7-9 1e7-1f
Khojki: 11200-11 2-2b
Khudawadi: 112b0-3a 6-9
Lao: e81-1 2 3-1 2 3 7-3 2-6 2-2 2 2 3-1 2-c 2-2 3-4 2 2-5 3-9 3-3
Latin: 41-19 7-19 30 10 6-16 2-1e 2-1c0 28-4 1a1c-25 7-30 6-3 6-c 2-45 42-ff 172 e 11-c 8e-1 7 1c 12-28 ad8-1f
 7aa3-65 4-23 2-7 40-8 331-2a 2-8 4f9c-6 41b-19 7-19
Lepcha: 1c00-37 4-e 4-2
Limbu: 1900-1e 2-b 5-b 5 4-b
Linear_A: 10600-136 a-15 b-7
Linear_B: 10000-b 2-19 2-12 2-1 2-e 3-d 23-7a
Lisu: a4d0-2f
Lycian: 10280-1c
Lydian: 10920-19 6
Mahajani: 11150-26
Malayalam: d01-2 2-7 2-2 2-28 3-7 2-2 2-5 5-f 3-19
Mandaic: 840-1b 3
Manichaean: 10ac0-26 5-b
Marchen: 11c70-1f 3-15 2-d
Meetei_Mayek: aae0-16 ca-2d 3-9
Mende_Kikakui: 1e800-c4 3-f
Meroitic_Cursive: 109a0-17 5-13 3-2d
Miao: 16f00-44 c-2e 11-10
Modi: 11600-44 c-9
Mongolian: 1800-1 3 2-8 2-9 7-57 9-2a fdb6-c
Mro: 16a40-1e 2-9 5-1
Multani: 11280-6 2 2-3 2-e 2-a
Myanmar: 1000-9f 9941-1e 62-1f
Nabataean: 10880-1e 9-8
New_Tai_Lue: 1980-2b 5-19 7-a 4-1
Newa: 11400-59 2 2
Nko: 7c0-3a
Ogham: 1680-1c
Ol_Chiki: 1c50-2f
Old_Hungarian: 10c80-32 e-32 8-5
Old_Italic: 10300-23
Old_North_Arabian: 10a80-1f
Old_Permic: 10350-2a
Old_Persian: 103a0-23 5-d
Old_South_Arabian: 10a60-1f
Old_Turkic: 10c00-48
Oriya: b01-2 2-7 3-1 3-15 2-6 2-1 2-4 3-8 3-1 3-2 9-1 5-1 2-4 3-11
Osage: 104b0-23 5-23
Osmanya: 10480-1d 3-9
Pahawh_Hmong: 16b00-45 b-9 2-6 2-14 6-12
Palmyrene: 10860-1f
Pau_Cin_Hau: 11ac0-38
Phags_Pa: a840-37
Phoenician: 10900-1b 4
Psalter_Pahlavi: 10b80-11 8-3 d-6
Rejang: a930-23 c
Runic: 16a0-4a 4-a
Samaritan: 800-2d 3-e
Saurashtra: a880-45 9-b
Sharada: 11180-4d 3-f
Shavian: 10450-2f
Siddham: 11580-35 3-25
SignWriting: 1d800-28b 10-4 2-e
Sinhala: d82-1 2-11 4-17 2-8 2 3-6 4 5-5 2 2-7 7-9 3-2 103ed-13
Sora_Sompeng: 110d0-18 8-9
Sundanese: 1b80-3f 101-7
Syloti_Nagri: a800-2b
Syriac: 700-d 2-3b 3-2
Tagalog: 1700-c 2-6
Tagbanwa: 1760-c 2-2 2-1
Tai_Le: 1950-1d 3-4
Tai_Tham: 1a20-3e 2-1c 3-a 7-9 7-d
Tai_Viet: aa80-42 19-4
Takri: 11680-37 9-9
Tamil: b82-1 2-5 4-2 2-3 4-1 2 2-1 4-1 4-2 4-b 5-4 4-2 2-3 3 7 f-14
Tangut: 16fe0 20-17ec 14-2f2
Telugu: c00-3 2-7 2-2 2-16 2-f 4-7 2-2 2-3 8-1 2-2 6-3 3-9 9-7
Thaana: 780-31
Thai: e01-39 6-1b
Tibetan: f00-47 2-23 5-26 2-23 2-e 2-6 5-1
Tifinagh: 2d30-37 8-1 f
Tirhuta: 11480-47 9-9
Ugaritic: 10380-1d 2
Vai: a500-12b
Warang_Citi: 118a0-52 d
Yi: a000-48c 4-36
`
