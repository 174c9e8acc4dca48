package app

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// screen shows a run to a person: on a terminal a progress bar that is redrawn
// in place under lines that stay, elsewhere plain lines.
// Everything is behind mu: the goroutine that trains and the one that hears
// signals both write.
type screen struct {
	mu    sync.Mutex
	w     io.Writer
	tty   bool
	color bool
	width func() int
	now   func() time.Time

	// Everything below is the state of what is on the screen, and changes under
	// mu.
	headed  bool // the table's head is printed
	drawn   bool // a bar is on the screen
	painted time.Time
	printed time.Time // of the last table row
	began   bool
	last    progress
	what    string // phase
	part    float64
}

// Redrawing more often costs time and shows nothing; a plain log wants a line
// now and then even if nothing is evaluated.
const (
	repaint  = 80 * time.Millisecond
	lineTime = 10 * time.Second
	fewSteps = 50 // runs this short get a line for every step
)

// start prints the header; from now on there is a bar to draw.
func (s *screen) start(h header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.w, "%s\n", s.bold(h.title))
	// Of the names, so that the values stand under each other.
	wide := 0
	for _, r := range h.rows {
		wide = max(wide, len(r[0]))
	}
	for _, r := range h.rows {
		fmt.Fprintf(s.w, "  %s  %s\n", s.dim(pad(r[0], wide)), r[1])
	}
	fmt.Fprintln(s.w)
	s.last.Step, s.last.steps, s.began = h.step, h.steps, true
}

// phase keeps the bar alive within a step, which takes minutes for a large
// model.
func (s *screen) phase(what string, done, of int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A new phase shows at once, a phase that goes on as often as an eye
	// follows.
	changed := what != s.what
	s.what, s.part = what, float64(done)/float64(max(of, 1))
	if s.tty && s.began && (changed && what != "training" || s.now().Sub(s.painted) >= repaint) {
		s.paint()
	}
}

// step shows a step that has ended: as a row that stays if it was evaluated, as
// a redrawn bar if not. Plain lines come at the first and the last step, at
// evaluations, and now and then.
func (s *screen) step(p progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.what, s.part = p, "", 0
	row := p.ValLoss != nil
	if !s.tty {
		row = row || p.Step == 1 || p.Step == p.steps || p.steps <= fewSteps || s.now().Sub(s.printed) >= lineTime
	}
	if row {
		s.above(func() { s.row(p) })
	} else if s.tty && s.now().Sub(s.painted) >= repaint {
		s.paint()
	}
}

// The table's columns, and the terminal's width from which on each is shown.
var columns = []struct {
	title       string
	width, from int
}{{"step", 9, 0}, {"loss", 9, 0}, {"val loss", 9, 0}, {"bits/byte", 10, 45}, {"lr", 9, 75}, {"grad", 7, 66}, {"tok/s", 7, 52}, {"MFU", 6, 59}, {"left", 8, 39}}

// shows tells whether the terminal has room for a column.
func (s *screen) shows(column int) bool { return !s.tty || s.width() >= columns[column].from }

// row prints a line of the table that stays.
// Columns that the terminal has no room for are left out, the least wanted
// first; the loss stays.
func (s *screen) row(p progress) {
	// Once, above the first row; a log that is cut in the middle still has
	// numbers that explain themselves.
	if !s.headed {
		s.headed = true
		var head strings.Builder
		for i, c := range columns {
			if s.shows(i) {
				head.WriteString(padLeft(c.title, c.width))
			}
		}
		fmt.Fprintln(s.w, s.dim(head.String()))
	}
	s.printed = s.now()
	// What was not measured is left blank.
	val, bits, mfu := "", "", ""
	if p.ValLoss != nil {
		val = fmt.Sprintf("%.4f", *p.ValLoss)
	}
	if p.BitsPerByte != nil {
		bits = fmt.Sprintf("%.4f", *p.BitsPerByte)
	}
	if p.MFU > 0 {
		mfu = percent(p.MFU)
	}
	cells := []string{thousands(int64(p.Step)), fmt.Sprintf("%.4f", p.Loss), val, bits, sci(p.LR), three(p.GradNorm), rate(p.pace), mfu, span(p.left)}
	var line strings.Builder
	used := 0
	for i, c := range columns {
		if !s.shows(i) {
			continue
		}
		cell := padLeft(cells[i], c.width)
		switch c.title {
		case "step":
			cell = s.bold(cell)
		case "val loss", "bits/byte":
			// The lowest so far.
			if p.best {
				cell = s.green(cell)
			}
		}
		line.WriteString(cell)
		used += c.width
	}
	// What is left of the line becomes a bar as long as the loss: reading down
	// the table, the curve of the run.
	if room := s.width() - used - 4; s.tty && room >= 8 && p.first > 0 {
		shown := p.Loss
		if p.ValLoss != nil {
			shown = *p.ValLoss
		}
		line.WriteString("   " + s.cyan(block(shown/p.first, min(room, 30))))
	}
	fmt.Fprintln(s.w, line.String())
}

// sample shows the beginning of a text in a frame.
// Only of the first text: a screen full of samples hides the losses.
func (s *screen) sample(step, number int, path, text string) {
	if number > 1 {
		return // the others are in their files
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.above(func() {
		// One column less than there are, since some terminals wrap at the
		// last.
		wide := min(s.width()-1, 100)
		title := fmt.Sprintf("─ the model writes, after step %s ", thousands(int64(step)))
		fmt.Fprintln(s.w, "  "+s.dim("╭"+title+strings.Repeat("─", max(0, wide-3-utf8.RuneCountInString(title)))))
		for _, line := range excerpt(text, wide-5, 8) {
			fmt.Fprintf(s.w, "  %s %s\n", s.dim("│"), line)
		}
		fmt.Fprintln(s.w, "  "+s.dim("╰─ "+path))
	})
}

// saved tells of a checkpoint.
func (s *screen) saved(step int, path string) {
	if !s.tty { // on a terminal the bar has shown it; a log wants the line
		s.note(fmt.Sprintf("step %s: saved %s", thousands(int64(step)), path))
	}
}

// note prints a sentence that stays.
func (s *screen) note(msg string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.above(func() { fmt.Fprintln(s.w, "  "+s.yellow(msg)) })
}

// done prints how the run ended and what may be done next.
// The last line can be typed as it stands.
func (s *screen) done(sum summary) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	s.began = false
	var rows [][2]string
	add := func(name, format string, args ...any) {
		rows = append(rows, [2]string{name, fmt.Sprintf(format, args...)})
	}
	if sum.finished {
		add("done", "%s steps, %s tokens in %s", thousands(int64(sum.step)), count(sum.tokens), span(sum.took))
	} else {
		add("stopped", "after step %s of %s", thousands(int64(sum.step)), thousands(int64(sum.steps)))
	}
	if sum.last != nil {
		loss := fmt.Sprintf("%.4f", sum.last.Loss)
		if v := sum.lastVal; v != nil {
			loss += fmt.Sprintf(", validation %.4f", *v.ValLoss)
			if v.BitsPerByte != nil {
				loss += fmt.Sprintf(" = %.4f bits per byte", *v.BitsPerByte)
			}
			// An evaluation before the last step says which.
			if v.Step != sum.last.Step {
				loss += fmt.Sprintf(" at step %s", thousands(int64(v.Step)))
			}
		}
		add("loss", "%s", loss)
	}
	if sum.checkpoint != "" {
		add("saved", "%s", sum.checkpoint)
	}
	if sum.best != "" {
		add("best", "%s", sum.best)
	}
	if sum.curve != "" {
		add("curve", "%s", sum.curve)
	}
	if sum.finished {
		add("try", "%s", s.bold(sum.next))
	} else {
		add("go on", "%s", s.bold(sum.next))
	}
	fmt.Fprintln(s.w)
	for _, r := range rows {
		fmt.Fprintf(s.w, "  %s  %s\n", s.dim(pad(r[0], 7)), r[1])
	}
}

// above prints lines that stay and puts the bar under them again.
func (s *screen) above(print func()) {
	s.erase()
	print()
	if s.tty && s.began {
		s.paint()
	}
}

// erase takes the bar off the screen.
func (s *screen) erase() {
	if s.drawn {
		io.WriteString(s.w, "\r\x1b[K")
		s.drawn = false
	}
}

// paint draws the bar over what stood on its line.
func (s *screen) paint() {
	s.painted = s.now()
	// The rest of the line is cleared behind the bar, not before it: the line
	// never flickers.
	io.WriteString(s.w, "\r"+s.bar()+"\x1b[K")
	s.drawn = true
}

// sgr wraps text in a colour or weight, by the code of "select graphic rendition".
func (s *screen) sgr(code, text string) string {
	// NO_COLOR and plain files get none.
	if !s.color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s *screen) bold(t string) string   { return s.sgr("1", t) }
func (s *screen) dim(t string) string    { return s.sgr("2", t) }
func (s *screen) green(t string) string  { return s.sgr("32", t) }
func (s *screen) yellow(t string) string { return s.sgr("33", t) }
func (s *screen) cyan(t string) string   { return s.sgr("36", t) }

// pad and padLeft fill text up to a number of columns.
func pad(t string, n int) string {
	return t + strings.Repeat(" ", max(0, n-utf8.RuneCountInString(t)))
}

// padLeft counts runes, not bytes: bars and dashes have several bytes.
func padLeft(t string, n int) string {
	return strings.Repeat(" ", max(0, n-utf8.RuneCountInString(t))) + t
}

// leave moves below the bar, which stays, so that an error stands on a line of
// its own.
func (s *screen) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drawn {
		io.WriteString(s.w, "\n")
		s.drawn = false
	}
	s.began = false
}
