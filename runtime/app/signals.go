package app

import (
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// stopper hears Ctrl-C and the system's requests to end. The first asks the
// run to stop after the step it is in; a second one ends the process at once,
// which loses nothing that a checkpoint holds.
//
// The run asks once a step, so that a checkpoint is always of a whole step.
type stopper struct {
	flag    atomic.Bool
	number  atomic.Int32 // of the signal that asked first
	signals chan os.Signal
	quit    chan struct{}
}

// listen begins to hear; r is told of the first request.
func listen(r reporter, now func() time.Time) *stopper {
	s := &stopper{signals: make(chan os.Signal, 4), quit: make(chan struct{})}
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		// A process started under nohup, or in the background of a script,
		// ignores some of these on purpose.
		if !signal.Ignored(sig) {
			signal.Notify(s.signals, sig)
		}
	}
	go func() {
		var first time.Time
		for {
			// A buffered channel: the runtime drops signals that nobody
			// receives.
			var sig os.Signal
			select {
			case <-s.quit:
				return
			case sig = <-s.signals:
			}
			// One Ctrl-C may arrive twice, from the terminal and from a
			// parent that passes it on.
			const same = 300 * time.Millisecond
			switch {
			case !s.flag.Load():
				first = now()
				s.number.Store(int32(signalNumber(sig)))
				s.flag.Store(true)
				r.note("stopping after this step, with a checkpoint (once more to quit at once)")
			// The process ends here, without what is deferred: the lock and the
			// files are the system's to close.
			case now().Sub(first) > same:
				os.Exit(int(128 + signalNumber(sig)))
			}
		}
	}()
	return s
}

func (s *stopper) asked() bool { return s.flag.Load() }

// signal is the one that asked, 0 for none.
func (s *stopper) signal() syscall.Signal { return syscall.Signal(s.number.Load()) }

// signalNumber is that of the system's table: 2 for an interrupt.
func signalNumber(sig os.Signal) syscall.Signal {
	if n, ok := sig.(syscall.Signal); ok {
		return n
	}
	return syscall.SIGINT
}

// errSignal ends a command that a signal stopped, which has said so itself. The
// status is what a shell gives for it, so that what follows can tell a run that
// was stopped from one that is done.
type errSignal syscall.Signal

func (e errSignal) Error() string { return "stopped by a signal: " + syscall.Signal(e).String() }

// end gives the signals their usual meaning back.
func (s *stopper) end() {
	signal.Stop(s.signals)
	close(s.quit)
}
