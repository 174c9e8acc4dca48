package cpu

import (
	"runtime"
	"sync"
	"time"
)

// PeakFLOPS measures the rate of float32 multiply-adds that the given number
// of workers reach together with everything in registers, in FLOP/s, as the
// yardstick of a kernel's efficiency. It takes about 100 ms and returns the
// best of several windows, since others may use the machine too.
func PeakFLOPS(workers int) float64 {
	const (
		windows = 10
		window  = 8 * time.Millisecond
	)
	isa := detect()
	// One round long enough to time, to choose the length of a window.
	n := 1000
	for {
		// The loop doubles until it takes long enough for the clock.
		start := time.Now()
		fmaLoop(isa, n)
		if t := time.Since(start); t > 500*time.Microsecond {
			n = max(1, int(float64(n)*float64(window)/float64(t)))
			break
		}
		n *= 2
	}
	best := 0.0
	for range windows {
		// Best of several: an interrupted window says what somebody else did.
		start := time.Now()
		var all sync.WaitGroup
		// Goroutines are started anew in each window; beside 8 ms that is
		// nothing.
		for range workers {
			all.Go(func() { fmaLoop(isa, n) })
		}
		all.Wait()
		best = max(best, float64(workers)*float64(n)*fmaLoopFLOPs(isa)/time.Since(start).Seconds())
	}
	return best
}

// fmaPortable is n times 8 independent multiply-adds.
func fmaPortable(n int) {
	var a, b, c, d, e, f, g, h float32 = 1, 2, 3, 4, 5, 6, 7, 8
	const x, y = 0.999, 0.001
	for range n {
		a, b, c, d = a*x+y, b*x+y, c*x+y, d*x+y
		e, f, g, h = e*x+y, f*x+y, g*x+y, h*x+y
	}
	runtime.KeepAlive(a + b + c + d + e + f + g + h) // or the loop would vanish
}
