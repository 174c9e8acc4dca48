package plot

import "math"

// Ticks are at most about n multiples of 1, 2 or 5 times a power of ten from
// one number to a larger one, both included where they are such multiples. The
// least of these steps that keeps to n is taken, so that at least n/2.5 come out.
func Ticks(from, to float64, n int) []float64 {
	// A power of ten at most (to-from)/n, of which 1, 2, 5 or 10 times is enough.
	step := math.Pow(10, math.Floor(math.Log10((to-from)/float64(n))))
	for _, m := range []float64{1, 2, 5, 10} {
		if (to-from)/(m*step) <= float64(n) {
			step *= m
			break
		}
	}
	var ticks []float64
	// Multiples are computed, not added up, so that errors do not grow.
	for i := math.Ceil(from / step); i*step <= to*(1+1e-12); i++ {
		ticks = append(ticks, i*step)
	}
	return ticks
}

// LogTicks are round values for a logarithmic axis: 1, 2, 5, or more of them
// where the range is small, evenly spaced ones where it is very small.
func LogTicks(least, most float64) []float64 {
	if most/least < 2.5 {
		return Ticks(least, most, 6)
	}
	for _, digits := range [][]float64{{1, 1.5, 2, 2.5, 3, 4, 5, 6, 8}, {1, 2, 3, 5, 7}, {1, 2, 5}, {1}} {
		var ticks []float64
		for e := math.Floor(math.Log10(least)); e <= math.Log10(most); e++ {
			for _, d := range digits {
				if v := d * math.Pow(10, e); v >= least && v <= most {
					ticks = append(ticks, v)
				}
			}
		}
		if len(ticks) <= 9 || len(digits) == 1 {
			return ticks
		}
	}
	return nil
}
