package app

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// field is one number of the progress line.
// Each has a short form, so that a narrow terminal shows the same numbers and
// not fewer.
type field struct {
	name, value, unit, short string // short replaces all three
	keep                     int    // the lowest go first when room is short
}

// length is the columns that a field takes.
func (f field) length(short bool) int {
	if short {
		return utf8.RuneCountInString(f.short)
	}
	return utf8.RuneCountInString(f.name + f.value + f.unit)
}

// fields lists what there is to show of the last step.
func (s *screen) fields() []field {
	p := s.last
	// In the order in which they are read; keep says which matter.
	fields := []field{{"step ", fmt.Sprintf("%s/%s", thousands(int64(p.Step)), thousands(int64(p.steps))), "", fmt.Sprintf("%d/%d", p.Step, p.steps), 9}}
	add := func(f field) { fields = append(fields, f) }
	// Before the first step has ended there is nothing to say about speed or
	// loss.
	if p.pace > 0 { // a step has ended
		add(field{"loss ", fmt.Sprintf("%.3f", p.Loss), "", fmt.Sprintf("loss %.2f", p.Loss), 8})
		if v := p.lastVal; v != nil {
			add(field{"val ", fmt.Sprintf("%.3f", *v.ValLoss), "", fmt.Sprintf("val %.2f", *v.ValLoss), 5})
			if v.BitsPerByte != nil {
				add(field{"", fmt.Sprintf("%.3f", *v.BitsPerByte), " bits/byte", fmt.Sprintf("%.2f b/B", *v.BitsPerByte), 4})
			}
		}
		add(field{"lr ", sci(p.LR), "", "lr " + sci(p.LR), 1})
		add(field{"grad ", three(p.GradNorm), "", "g " + three(p.GradNorm), 2})
		add(field{"", rate(p.pace), " tok/s", rate(p.pace) + "/s", 6})
		if p.MFU > 0 {
			add(field{"MFU ", percent(p.MFU), "", percent(p.MFU), 3})
		}
		add(field{"", span(p.left), " left", span(p.left), 7})
	}
	// The phase stands for what delays the next number.
	if s.what != "" && (s.what != "training" || p.pace == 0) {
		add(field{"", s.what, "", s.what, 8})
	}
	return fields
}

// bar is the progress line: as many fields as fit, in words if there is room
// and in short form if not, and the bar itself in what is left.
func (s *screen) bar() string {
	p, fields := s.last, s.fields()
	room := max(s.width()-3, 20) // room for the "^C" that a terminal echoes, which must not wrap
	// Columns; below shortBar a bar says nothing.
	const gap, longBar, shortBar = 2, 16, 6
	// length is what all fields take.
	length := func(short bool) int {
		n := 1
		for _, f := range fields {
			n += gap + f.length(short)
		}
		return n
	}
	short := length(false)+longBar > room
	// The step itself stays to the last.
	for short && length(true)+shortBar > room && len(fields) > 1 {
		least := 0
		for i, f := range fields {
			if f.keep < fields[least].keep {
				least = i
			}
			// Fields are dropped by what they are worth, and the others keep their
			// order.
		}
		fields = append(fields[:least:least], fields[least+1:]...)
	}
	var text strings.Builder
	for _, f := range fields {
		text.WriteString(strings.Repeat(" ", gap))
		if short {
			text.WriteString(f.short)
			continue
		}
		text.WriteString(s.dim(f.name) + f.value + s.dim(f.unit))
	}
	// A longer bar is not easier to read.
	cells := min(max(room-length(short), 0), 40)
	// Within a step the bar moves on by micro-batches.
	done := float64(p.Step)
	if s.what == "training" {
		done += s.part
	}
	return " " + s.line(done/float64(max(p.steps, 1)), cells) + text.String()
}

// line draws a bar of a number of cells, to half a cell.
func (s *screen) line(share float64, cells int) string {
	// Line-drawing characters have a half.
	halves := int(share*float64(2*cells) + 0.5)
	// Rounded to the nearest half: a bar at the end is full.
	halves = min(max(halves, 0), 2*cells)
	full, rest := halves/2, cells-halves/2
	done := strings.Repeat("━", full)
	if halves%2 == 1 {
		done += "╸"
		rest--
	}
	if !s.color { // without colour the two parts need different signs
		return done + strings.Repeat("·", rest)
	}
	return s.cyan(done) + s.dim(strings.Repeat("━", rest))
}

// block draws a bar to an eighth of a cell, for losses in a table.
func block(share float64, cells int) string {
	// Block characters have eighths.
	eighths := int(share*float64(8*cells) + 0.5)
	eighths = min(max(eighths, 0), 8*cells)
	t := strings.Repeat("█", eighths/8)
	if r := eighths % 8; r > 0 {
		t += string([]rune(" ▏▎▍▌▋▊▉")[r])
	}
	return t
}

// excerpt wraps text into at most n lines of a width, and says so if it had
// to leave something out.
func excerpt(text string, wide, n int) []string {
	wide = max(wide, 10)
	var out []string
	// Empty lines within the text stay, as they are part of what the model
	// wrote.
	for line := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		rest := []rune(visible(line))
		for first := true; first || len(rest) > 0; first = false {
			// More would follow.
			if len(out) == n {
				out[n-1] = cut([]rune(out[n-1]), wide-2) + " …"
				return out
			}
			end := fits(rest, wide)
			if end < len(rest) { // break at a space if one is near
				// Further back a broken word is the lesser evil.
				for i := end; i > end*2/3; i-- {
					if rest[i] == ' ' {
						end = i + 1
						break
					}
				}
			}
			out = append(out, strings.TrimRight(string(rest[:end]), " "))
			rest = rest[end:]
		}
	}
	return out
}

// cut shortens a line to a number of columns.
func cut(r []rune, wide int) string { return strings.TrimRight(string(r[:fits(r, wide)]), " ") }

// fits is how many runes fit into a number of terminal columns.
func fits(r []rune, wide int) int {
	for i, c := range r {
		if wide -= columnsOf(c); wide < 0 {
			return i
		}
	}
	return len(r)
}

// columnsOf is 2 for the scripts that terminals draw twice as wide.
// Ranges of East Asian wide characters and of emoji, near enough for a frame.
//
// Combining characters count as a column of their own: a line that ends early
// does less harm than one that wraps.
func columnsOf(r rune) int {
	if r >= 0x1100 && (r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 ||
		r >= 0xf900 && r <= 0xfaff || r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 || r >= 0x1f300 && r <= 0x1faff) {
		return 2
	}
	return 1
}
