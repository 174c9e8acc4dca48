package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// How often progress is shown: on a terminal as often as an eye follows, in a
// log often enough to see that it lives.
const (
	redraw = 100 * time.Millisecond
	relog  = 10 * time.Second
)

// progressLine shows what goes on before a program can speak for itself:
// building, learning a vocabulary, preparing data. On a terminal it is one line
// that is drawn over and over, elsewhere a line when a phase begins and every ten
// seconds. Nothing of it goes to standard output.
type progressLine struct {
	w        io.Writer        // standard error if nil
	now      func() time.Time // the clock if nil
	terminal func() bool      // of standard error if nil

	phase string // the format of the last line
	last  time.Time
}

// init fills in what a test replaces.
func (l *progressLine) init() {
	if l.w == nil {
		l.w, l.now, l.terminal = os.Stderr, time.Now, drawable
	}
}

// show writes the line, if it is time to. The format stands for the phase: the
// first line of each is always written.
func (l *progressLine) show(format string, args ...any) {
	l.init()
	now, since := l.now(), redraw
	terminal := l.terminal()
	if !terminal {
		since = relog
	}
	if format == l.phase && now.Sub(l.last) < since {
		return
	}
	l.phase, l.last = format, now
	if terminal {
		fmt.Fprintf(l.w, "\r\x1b[K"+format, args...)
	} else {
		fmt.Fprintf(l.w, format+"\n", args...)
	}
}

// begun is show for a phase that has a name. A log has the name alone when it
// begins: what is done by then is nothing, and a short phase has no second line.
func (l *progressLine) begun(name, format string, args ...any) {
	l.init()
	if l.terminal() || l.phase == format {
		l.show(format, args...)
		return
	}
	l.show("%s", name)
	l.phase = format
}

// working shows that something goes on of which nobody knows how far it is, with
// the seconds that it has taken, once it has taken longer than the delay. The
// function that it returns ends that, and must be called.
func working(what string, delay time.Duration) (end func()) {
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		l := &progressLine{}
		began := time.Now()
		select {
		case <-done:
			return
		case <-time.After(delay):
		}
		defer clearLine()
		tick := time.NewTicker(redraw)
		defer tick.Stop()
		for {
			if s := int(time.Since(began).Seconds()); s == 0 {
				l.show("%s", what)
			} else {
				// Of the same phase, so that a log has no second line yet.
				l.phase = "%s: %d s"
				l.show("%s: %d s", what, s)
			}
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	return func() { close(done); ended.Wait() }
}

// quickly is the delay for what is mostly done at once: a terminal shows it as
// soon as an eye would notice, a log only after the time that is given.
func quickly(inLog time.Duration) time.Duration {
	if drawable() {
		return 3 * redraw
	}
	return inLog
}

// clearLine removes the line from a terminal: what follows is the result.
func clearLine() {
	if drawable() {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}

// drawable reports whether standard error can be drawn over.
func drawable() bool { return isTerminal(os.Stderr) && os.Getenv("TERM") != "dumb" }

// isTerminal reports whether a person may be watching the file.
// A character device is near enough: /dev/null is one too, and nobody sees what
// goes there.
func isTerminal(f *os.File) bool {
	fi, err := f.Stat()
	return err == nil && fi.Mode()&os.ModeCharDevice != 0
}
