package cpu

import "testing"

// The peak is what the best windows agree on. A machine on which they never agree
// has none that could be told.
func TestPeakAgrees(t *testing.T) {
	for _, c := range []struct {
		name   string
		rate   func(i int) float64
		best   float64
		steady bool
		taken  int
	}{
		{"quiet", func(i int) float64 { return 100 - float64(i%2) }, 100, true, 8},
		{"half of the windows interrupted", func(i int) float64 { return []float64{100, 55}[i%2] }, 100, true, 8},
		{"quiet in the end", func(i int) float64 { return min(10*float64(i), 200) }, 200, true, 23},
		{"one impossible window", func(i int) float64 { return map[bool]float64{false: 100, true: 1000}[i == 3] }, 1000, false, 60},
		{"never alone", func(i int) float64 { return 55 + float64(i*i) }, 55 + 59*59, false, 60},
	} {
		i := 0
		best, steady := agreeing(func() (float64, bool) { i++; return c.rate(i - 1), i < 60 })
		if best != c.best || steady != c.steady || i != c.taken {
			t.Errorf("%s: %v, steady %v after %d windows; want %v, %v after %d", c.name, best, steady, i, c.best, c.steady, c.taken)
		}
	}
}
