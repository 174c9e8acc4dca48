package data

import "math/bits"

// permutation is a pseudo-random permutation of 0..n-1 that is computed, not
// stored: any element in O(1), so that any sequence of any epoch can be found
// without shuffling a list first.
//
// It is a Feistel network on two digits of the number (Black and Rogaway
// 2002, "Ciphers with arbitrary finite domains"): x = l*b + r with
// l < a, r < b, where a and b are about the square root of n. Every round adds
// a hash of one digit to the other, modulo that digit's range. a*b exceeds n by
// less than b, and a result beyond n goes through again (cycle walking).
type permutation struct {
	n, a, b uint64
	key     uint64
}

// rounds of the Feistel network. Four already pass for random; the windows of
// a corpus are cheap to hash, so two more for regular small domains.
const rounds = 6

func newPermutation(n int64, key uint64) permutation {
	p := permutation{n: uint64(n), key: key}
	p.a = isqrt(p.n)
	if p.a == 0 {
		p.a = 1
	}
	p.b = (p.n + p.a - 1) / p.a
	return p
}

// at returns the place of element i.
func (p permutation) at(i int64) int64 {
	x := uint64(i)
	for {
		l, r := x/p.b, x%p.b
		for k := uint64(0); k < rounds; k += 2 {
			l = (l + scale(mix(p.key^k<<56^r), p.a)) % p.a
			r = (r + scale(mix(p.key^(k+1)<<56^l), p.b)) % p.b
		}
		x = l*p.b + r
		if x < p.n {
			return int64(x)
		}
	}
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

// isqrt is the integer square root, rounded down.
func isqrt(n uint64) uint64 {
	if n == 0 {
		return 0
	}
	x := uint64(1) << ((bits.Len64(n) + 1) / 2)
	for {
		y := (x + n/x) / 2
		if y >= x {
			return x
		}
		x = y
	}
}
