package app

import (
	"io"
	"os"
	"strconv"
)

// newScreen looks at where the output goes. NO_COLOR (no-color.org) turns off
// colours, TERM=dumb the bar as well.
func (e *env) newScreen() *screen {
	s := &screen{w: e.stdout, now: e.now, width: func() int { return e.columns() }}
	f, ok := e.stdout.(*os.File)
	// Neither a file nor a pipe can be redrawn.
	s.tty = ok && isTerminal(f) && e.getenv("TERM") != "dumb"
	s.color = s.tty && e.getenv("NO_COLOR") == ""
	return s
}

// columns is the terminal's width.
func (e *env) columns() int {
	// Asked at each redraw: windows change their size.
	if f, ok := e.stdout.(*os.File); ok {
		if n := terminalWidth(f); n > 0 {
			return n
		}
	}
	if n, err := strconv.Atoi(e.getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	return 80
}

// terminal tells whether a writer is one.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isTerminal(f)
}
