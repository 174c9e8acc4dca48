package app

import (
	"runtime"

	"github.com/llamac/llamac/runtime/cpu"
)

// peakFLOPS is the measured rate of multiply-adds of a number of workers, the
// yardstick of MFU; 0 means one worker a processor, as it does to a Device. steady
// is false where the machine is too busy to tell.
//
// It takes a moment of full load, and is measured once a run.
func peakFLOPS(workers int) (flops float64, steady bool) {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	return cpu.PeakFLOPS(workers)
}
