package cpu

import (
	"cmp"
	"runtime"
	"slices"
	"sync"
	"time"
)

// How the peak is measured: in windows long enough that starting goroutines is
// nothing beside them, until the best of them agree.
const (
	peakWindow  = 8 * time.Millisecond
	peakTime    = 500 * time.Millisecond // at most
	peakAtLeast = 8                      // windows
	peakAgree   = 3                      // of the best windows
	peakWithin  = 0.03                   // of the best one
)

// PeakFLOPS measures the rate of float32 multiply-adds that the given number
// of workers reach together with everything in registers, in FLOP/s, as the
// yardstick of a kernel's efficiency. It takes from 0.1 s to 0.5 s and returns the
// best of several windows, since others may use the machine too. Where they use it
// so much that the best windows differ, steady is false, and the machine may be
// capable of more.
func PeakFLOPS(workers int) (flops float64, steady bool) {
	isa := detect()
	// One round long enough to time, to choose the length of a window.
	n := 1000
	for {
		// The loop doubles until it takes long enough for the clock.
		start := time.Now()
		fmaLoop(isa, n)
		if t := time.Since(start); t > 500*time.Microsecond {
			n = max(1, int(float64(n)*float64(peakWindow)/float64(t)))
			break
		}
		n *= 2
	}
	began := time.Now()
	return agreeing(func() (float64, bool) {
		start := time.Now()
		var all sync.WaitGroup
		for range workers {
			all.Go(func() { fmaLoop(isa, n) })
		}
		all.Wait()
		return float64(workers) * float64(n) * fmaLoopFLOPs(isa) / time.Since(start).Seconds(), time.Since(began) < peakTime
	})
}

// agreeing takes rates until the best of them agree or there are no more, and
// returns the best. An interrupted window says what somebody else did, and a
// single fast one may be the clock's mistake.
func agreeing(window func() (rate float64, more bool)) (best float64, steady bool) {
	var rates []float64
	for more := true; more && !steady; {
		var r float64
		r, more = window()
		rates = append(rates, r)
		slices.SortFunc(rates, func(a, b float64) int { return cmp.Compare(b, a) })
		best = rates[0]
		steady = len(rates) >= peakAtLeast && rates[peakAgree-1] >= (1-peakWithin)*best
	}
	return best, steady
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
