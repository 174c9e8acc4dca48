package raster

import (
	"strings"

	"github.com/llamac/llamac/runtime/plot"
)

// alphabet draws each letter with lines between places of a grid, two digits a
// place: column from the left and row from the top of capitals.
//
//	row 0  top of capitals, digits, b, d, f, h, k, l
//	row 2  top of the other small letters
//	row 6  the line that all stand on
//	row 8  the lowest, of g, j, p, q, y
//
// A letter is as wide as its last column, 4 at most. "|" lifts the pen; a place
// that is met twice in a row is a dot. What is not here is drawn as a box.
var alphabet = map[rune]string{
	'A': "06 20 46|14 34", 'B': "03 33 42 41 30 00 06 36 45 44 33", 'C': "41 30 10 01 05 16 36 45", 'D': "00 20 41 45 26 06 00",
	'E': "40 00 06 46|03 33", 'F': "40 00 06|03 33", 'G': "41 30 10 01 05 16 36 45 43 23", 'H': "00 06|40 46|03 43", 'I': "00 06",
	'J': "30 35 26 16 05", 'K': "00 06|40 03 46", 'L': "00 06 36", 'M': "06 00 23 40 46", 'N': "06 00 46 40",
	'O': "10 01 05 16 36 45 41 30 10", 'P': "06 00 30 41 42 33 03", 'Q': "10 01 05 16 36 45 41 30 10|34 47",
	'R': "06 00 30 41 42 33 03|23 46", 'S': "41 30 10 01 02 13 33 44 45 36 16 05", 'T': "00 40|20 26", 'U': "00 05 16 36 45 40",
	'V': "00 26 40", 'W': "00 16 22 36 40", 'X': "00 46|40 06", 'Y': "00 23 40|23 26", 'Z': "00 40 06 46",
	'a': "02 22 33 36|34 14 05 16 26 35", 'b': "00 06|05 16 26 35 33 22 12 03", 'c': "33 22 12 03 05 16 26 35",
	'd': "30 36|35 26 16 05 03 12 22 33", 'e': "04 34 33 22 12 03 05 16 26 35", 'f': "20 11 16|02 22",
	'g': "32 37 28 18 07|33 22 12 03 05 16 26 35", 'h': "00 06|03 12 22 33 36", 'i': "02 06|00 00", 'j': "12 17 08|10 10",
	'k': "00 06|32 04 36", 'l': "00 06", 'm': "02 06|03 12 23 26|23 32 43 46", 'n': "02 06|03 12 22 33 36",
	'o': "12 03 05 16 26 35 33 22 12", 'p': "02 08|03 12 22 33 35 26 16 05", 'q': "32 38|33 22 12 03 05 16 26 35",
	'r': "02 06|04 13 22", 's': "33 22 12 03 14 24 35 26 16 05", 't': "10 15 26|02 22", 'u': "02 05 16 26 35|32 36",
	'v': "02 26 42", 'w': "02 16 23 36 42", 'x': "02 36|32 06", 'y': "02 05 16 26 35|32 37 28 18 07", 'z': "02 32 06 36",
	'0': "10 01 05 16 26 35 31 20 10", '1': "01 10 16", '2': "01 10 20 31 32 06 36", '3': "01 10 20 31 32 23 13|23 34 35 26 16 05",
	'4': "26 20 04 34", '5': "30 00 03 12 22 33 35 26 16 05", '6': "31 20 10 01 05 16 26 35 34 23 13 04", '7': "00 30 16",
	'8': "13 02 01 10 20 31 32 23 13 04 05 16 26 35 34 23", '9': "05 16 26 35 31 20 10 01 02 13 23 32",
	'.': "06 06", ',': "16 07", ':': "03 03|06 06", ';': "13 13|16 07", '!': "00 04|06 06", '?': "01 10 20 31 32 23 24|26 26",
	'(': "10 01 06 17", ')': "00 11 16 07", '[': "10 00 07 17", ']': "00 10 17 07", '+': "22 26|04 44", '-': "04 24",
	'/': "06 30", '=': "03 33|05 35", '<': "32 04 36", '>': "02 34 06", '%': "06 40|10 01 12 21 10|34 25 36 45 34",
	'\'': "00 01", '"': "00 01|20 21", '_': "07 37", '*': "01 45|41 05", '·': "04 04", '×': "13 35|33 15", '&': "46 12 11 20 31 04 05 16 26 44",
}

// letters gives the lines of a text whose size is in pixels, as font sizes are:
// capitals are 0.72 of it high, as in most fonts without serifs, so that the
// text takes about the room that it takes in a browser.
//
// The shape says at which end of the text the point is, and whether it reads
// from below to above: then right is up, and down is right.
func letters(s plot.Shape, at plot.Point, size float64) [][]plot.Point {
	const unknown = "00 30 36 06 00"
	unit := size * 0.72 / 6 // capitals are six rows high
	// First everything lies on one line from the origin on, in the grid's units;
	// when its length is known, it is moved, turned and made as large as it is
	// to be.
	// A line a stroke of the pen.
	var lines [][]plot.Point
	x := 0.0 // in the grid's columns
	for _, r := range s.Text {
		glyph, ok := alphabet[r]
		switch {
		case r == ' ':
			x += 3
			continue
		case !ok:
			glyph = unknown
		}
		wide := 0.0
		for part := range strings.SplitSeq(glyph, "|") {
			var line []plot.Point
			for place := range strings.FieldsSeq(part) {
				p := plot.Point{X: float64(place[0] - '0'), Y: float64(place[1] - '0')}
				wide = max(wide, p.X)
				line = append(line, plot.Point{X: x + p.X, Y: p.Y - 6})
			}
			lines = append(lines, line)
		}
		x += wide + 1.9 // about two strokes between letters
	}
	from := map[string]float64{"middle": (x - 1.9) / 2, "end": x - 1.9}[s.Anchor]
	for _, line := range lines {
		for i, p := range line {
			across, down := (p.X-from)*unit, p.Y*unit
			if s.Turned {
				across, down = down, -across
			}
			line[i] = plot.Point{X: at.X + across, Y: at.Y + down}
		}
	}
	return lines
}
