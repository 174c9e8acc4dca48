package fuzz

import "math/rand/v2"

// Choices is a source of random decisions that remembers them. The decision 0
// is always the simplest, so that a list of smaller numbers stands for a
// smaller model.
type Choices struct {
	rng   *rand.Rand // nil when decisions are given
	given []int
	Made  []int
}

// Random makes a source for a seed.
// The second number sets these seeds apart from those of other generators.
func Random(seed uint64) *Choices { return &Choices{rng: rand.New(rand.NewPCG(seed, 0xf022))} }

// Given makes a source that repeats decisions, and decides 0 behind their end.
// A list that was cut or changed still means something: decisions are bounded as they
// are asked for, so every list of numbers is a model.
func Given(made []int) *Choices { return &Choices{given: made} }

// N is a number below n.
func (c *Choices) N(n int) int {
	x := 0
	switch at := len(c.Made); {
	case c.rng != nil:
		x = c.rng.IntN(n)
	case at < len(c.given):
		x = min(c.given[at], n-1)
	}
	c.Made = append(c.Made, x)
	return x
}

// Rare is true once in n times.
// The last number, not 0, so that the rare thing goes away in shrinking.
func (c *Choices) Rare(n int) bool { return c.N(n) == n-1 }

// Coin is true half of the time.
func (c *Choices) Coin() bool { return c.N(2) == 1 }

// Between is a number from lo to hi, both included.
func (c *Choices) Between(lo, hi int) int { return lo + c.N(hi-lo+1) }

// Shrink looks for smaller decisions with which fails still holds: it leaves
// out runs of them, then makes single ones smaller, again and again until
// nothing helps or the tries are used up.
func Shrink(made []int, tries int, fails func([]int) bool) []int {
	try := func(next []int) bool {
		if tries <= 0 {
			return false
		}
		tries--
		return fails(next)
	}
	for again := true; again && tries > 0; {
		again = false
		// Long runs first, as delta debugging does (Zeller and Hildebrandt 2002):
		// half of a model is often not needed.
		for size := len(made) / 2; size > 0; size /= 2 {
			for at := len(made) - size; at >= 0; at -= size {
				if at+size > len(made) {
					continue
				}
				next := append(append([]int(nil), made[:at]...), made[at+size:]...)
				if try(next) {
					made, again = next, true
				}
			}
		}
		for at := len(made) - 1; at >= 0; at-- {
			for _, smaller := range []int{0, made[at] / 2, made[at] - 1} {
				if smaller < 0 || smaller >= made[at] {
					continue
				}
				next := append([]int(nil), made...)
				next[at] = smaller
				if try(next) {
					made, again = next, true
					break
				}
			}
		}
	}
	for len(made) > 0 && made[len(made)-1] == 0 {
		made = made[:len(made)-1] // what Given decides anyway
	}
	return made
}
