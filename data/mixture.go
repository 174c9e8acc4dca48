package data

import (
	"fmt"
	"math"
	"sort"
)

// mixture decides which source gives sequence n, and how many sequences that
// source gave before. It is a pattern that repeats: the shares become whole
// numbers of sequences in a period, and within the period each next sequence
// goes to the source that is furthest behind its share. So after any number of
// sequences every source is within about one sequence of its due, which
// independent draws would miss by the square root of that number.
type mixture struct {
	pick   []uint16 // source of each sequence of the period
	before []int32  // how often that source was picked earlier in the period
	counts []int64  // sequences per source in one period
}

// longestPeriod bounds the pattern. Shares that are not fractions over a small
// number are rounded to multiples of 1/longestPeriod, an error below 4e-6.
const longestPeriod = 1 << 17

func newMixture(shares []float64) (*mixture, error) {
	if len(shares) > math.MaxUint16 {
		return nil, fmt.Errorf("%d sources in a mixture", len(shares))
	}
	// Shares need not sum to 1: the spec's do, those of StreamConfig may be
	// any.
	sum := 0.0
	for i, s := range shares {
		if !(s >= 0) || math.IsInf(s, 0) {
			return nil, fmt.Errorf("share %d of the mixture is %g", i, s)
		}
		sum += s
	}
	if sum <= 0 {
		return nil, fmt.Errorf("the shares of the mixture add up to %g", sum)
	}
	exact := make([]float64, len(shares))
	for i := range shares {
		exact[i] = shares[i] / sum
	}
	m := &mixture{}
	m.counts = apportion(exact, period(exact))
	m.lay()
	return m, nil
}

// CheckShares fails for shares that make no mixture, or with which a source would
// never be drawn.
func CheckShares(names []string, shares []float64) error {
	m, err := newMixture(shares)
	if err != nil {
		return err
	}
	for i, c := range m.counts {
		if c == 0 && shares[i] > 0 {
			return fmt.Errorf("source %q has a share of %g, too small to be drawn: the smallest is 1 of %d; give it more, or leave it out", names[i], shares[i], longestPeriod)
		}
	}
	return nil
}

// period finds the shortest period in which all shares are whole numbers of
// sequences, or gives the longest one allowed.
func period(exact []float64) int64 {
next:
	// Percentages with two digits behind the point have a period of 10,000 or a
	// divisor of it.
	for p := int64(1); p <= 20000; p++ {
		for _, s := range exact {
			c := s * float64(p)
			// A share that would round to nothing is no whole number.
			if math.Abs(c-math.Round(c)) > 1e-9*float64(p) || s > 0 && math.Round(c) == 0 {
				continue next
			}
		}
		return p
	}
	return longestPeriod
}

// apportion gives out p whole units by largest remainder (Hamilton's method):
// everyone gets the whole part of what is due, and the units left over go to
// the largest remainders.
func apportion(exact []float64, p int64) []int64 {
	counts := make([]int64, len(exact))
	rest := make([]float64, len(exact))
	order := make([]int, len(exact))
	left := p
	for i, s := range exact {
		due := s * float64(p)
		if r := math.Round(due); math.Abs(due-r) < 1e-9*float64(p) {
			due = r // a whole number but for rounding
		}
		counts[i] = int64(due)
		rest[i] = due - math.Floor(due)
		order[i] = i
		left -= counts[i]
	}
	sort.SliceStable(order, func(a, b int) bool { return rest[order[a]] > rest[order[b]] })
	// Sources without a share get none of the rest either.
	for i := 0; left > 0; i = (i + 1) % len(order) {
		if exact[order[i]] > 0 {
			counts[order[i]]++
			left--
		}
	}
	// Rounding up to a whole number, above, may have given out one too many:
	// the smallest remainders pay.
	for i := len(order) - 1; left < 0; i-- {
		if counts[order[i]] > 0 {
			counts[order[i]]--
			left++
		}
	}
	return counts
}

// lay orders the sequences of one period.
func (m *mixture) lay() {
	var p int64
	for _, c := range m.counts {
		p += c
	}
	m.pick = make([]uint16, p)
	m.before = make([]int32, p)
	given := make([]int64, len(m.counts))
	for i := range m.pick {
		best, most := -1, int64(math.MinInt64)
		for s, c := range m.counts {
			// It has had all that is its own in this period.
			if given[s] == c {
				continue
			}
			// What is due after this sequence less what was given, times p.
			if behind := c*int64(i+1) - p*given[s]; behind > most {
				best, most = s, behind
			}
		}
		m.pick[i] = uint16(best)
		m.before[i] = int32(given[best])
		given[best]++
	}
}

// at returns the source of sequence n and which of that source's sequences it
// is.
func (m *mixture) at(n int64) (source int, k int64) {
	p := int64(len(m.pick))
	// q whole periods, each with counts[s] of the source.
	q, r := n/p, n%p
	s := m.pick[r]
	return int(s), q*m.counts[s] + int64(m.before[r])
}

// count returns how many of the first n sequences each source gives.
func (m *mixture) count(n int64) []int64 {
	p := int64(len(m.pick))
	out := make([]int64, len(m.counts))
	for s, c := range m.counts {
		out[s] = n / p * c
	}
	for _, s := range m.pick[:n%p] {
		out[s]++
	}
	return out
}
