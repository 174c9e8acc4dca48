package data

import "math/bits"

// permutation is a pseudo-random permutation of 0..n-1 that is computed, not
// stored: any element in constant time, so that any sequence of any epoch can
// be found without shuffling a list first.
//
// It is the swap-or-not shuffle (Hoang, Morris and Rogaway 2012). A round draws
// a number k, which pairs every x with k-x mod n, and swaps each pair or does
// not, by a random bit of the pair. Each round is its own inverse, so whatever
// the bits are the whole is a permutation, for any n, without walking out of
// range and back as a Feistel network over digits must.
type permutation struct {
	n, key uint64
}

// rounds halve, each, how much of the order is left, and pairs of elements are
// as good as independent after some twenty (see the test).
const rounds = 32

func newPermutation(n int64, key uint64) permutation {
	return permutation{uint64(n), key}
}

// at returns the place of element i.
func (p permutation) at(i int64) int64 {
	x := uint64(i)
	for r := range uint64(rounds) {
		k := mix(p.key + r<<32)
		partner := scale(k, p.n) + p.n - x
		if partner >= p.n {
			partner -= p.n
		}
		// Both of a pair must see the same bit: that of the larger.
		if mix(k^max(x, partner))&1 != 0 {
			x = partner
		}
	}
	return int64(x)
}

// scale brings a random 64-bit number down to 0..n-1.
func scale(x, n uint64) uint64 {
	hi, _ := bits.Mul64(x, n)
	return hi
}

// mix turns a counter into a random-looking number (the finaliser of
// SplitMix64, Steele et al. 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// mixString hashes a name into a key.
func mixString(key uint64, s string) uint64 {
	key = mix(key ^ uint64(len(s)))
	for i := 0; i < len(s); i++ {
		key = mix(key ^ uint64(s[i]))
	}
	return key
}
