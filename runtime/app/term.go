package app

import (
	"io"
	"os"
	"strconv"

	"github.com/llamac/llamac/runtime/console"
)

// newScreen looks at where the output goes. NO_COLOR (no-color.org) turns off
// colours, TERM=dumb the bar as well.
func (e *env) newScreen() *screen {
	s := &screen{w: e.stdout, now: e.now, width: func() int { return e.columns() }}
	f, ok := file(e.stdout)
	// Neither a file nor a pipe can be redrawn.
	s.tty = ok && isTerminal(f) && e.getenv("TERM") != "dumb"
	s.color = s.tty && e.getenv("NO_COLOR") == ""
	return s
}

// columns is the terminal's width.
func (e *env) columns() int {
	// Asked at each redraw: windows change their size.
	if f, ok := file(e.stdout); ok {
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
	f, ok := file(w)
	return ok && isTerminal(f)
}

// file is the file that a writer writes to, if it is one.
func file(w io.Writer) (*os.File, bool) {
	if o, ok := w.(*console.Output); ok {
		return o.File, true
	}
	f, ok := w.(*os.File)
	return f, ok
}
