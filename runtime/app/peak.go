package app

// peakFLOPS is the measured FMA peak of a number of workers, FLOP/s; 0 when it
// is not known, and then no share of it is shown.
var peakFLOPS = func(workers int) float64 { return 0 }
