// Package rng draws random numbers by counter: a number is a function of a
// seed, a stream and a position, and of nothing else. No order of calls, no
// number of workers and no interruption changes what is drawn.
//
// The generator is Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel
// random numbers: as easy as 1, 2, 3", SC 2011). The seed is its key, the
// upper half of the counter names the stream, the lower half the position.
package rng

import (
	"hash/fnv"
	"math"
	"math/bits"
)

const (
	mul0, mul1   = 0xD2511F53, 0xCD9E8D57
	weyl0, weyl1 = 0x9E3779B9, 0xBB67AE85
	rounds       = 10
)

// Philox encrypts counter with key and returns four words of 32 random bits.
func Philox(counter [4]uint32, key [2]uint32) [4]uint32 {
	c, k := counter, key
	for range rounds {
		h0, l0 := bits.Mul32(mul0, c[0])
		h1, l1 := bits.Mul32(mul1, c[2])
		c = [4]uint32{h1 ^ c[1] ^ k[0], l1, h0 ^ c[3] ^ k[1], l0}
		k[0] += weyl0
		k[1] += weyl1
	}
	return c
}

// Source is one stream of one seed.
type Source struct{ seed, stream uint64 }

// New returns the stream with the given number.
func New(seed, stream uint64) Source { return Source{seed, stream} }

// Named returns the stream that belongs to a name, such as a weight's.
func Named(seed uint64, name string) Source {
	h := fnv.New64a()
	h.Write([]byte(name)) // never fails
	return Source{seed, h.Sum64()}
}

// Bits returns two independent words of 64 random bits for a position.
func (s Source) Bits(position uint64) (a, b uint64) {
	w := Philox(
		[4]uint32{uint32(position), uint32(position >> 32), uint32(s.stream), uint32(s.stream >> 32)},
		[2]uint32{uint32(s.seed), uint32(s.seed >> 32)})
	return uint64(w[0]) | uint64(w[1])<<32, uint64(w[2]) | uint64(w[3])<<32
}

// Float64 returns a number in [0, 1), a multiple of 2^-53.
func (s Source) Float64(position uint64) float64 {
	a, _ := s.Bits(position)
	return float64(a>>11) * 0x1p-53
}

// Normal2 returns two independent standard normal numbers (Box and Muller
// 1958).
func (s Source) Normal2(position uint64) (x, y float64) {
	a, b := s.Bits(position)
	u := float64(a>>11+1) * 0x1p-53 // in (0, 1]: its logarithm is finite
	v := float64(b>>11) * 0x1p-53
	r := math.Sqrt(-2 * math.Log(u))
	sin, cos := math.Sincos(2 * math.Pi * v)
	return r * cos, r * sin
}

// Fill writes std times standard normal numbers to dst, whose first element
// is number first of the stream. Cutting a tensor into any pieces gives the
// same elements.
func (s Source) Fill(dst []float32, first int, std float64) {
	for i := 0; i < len(dst); {
		n := first + i
		x, y := s.Normal2(uint64(n / 2))
		if n%2 == 0 {
			dst[i] = float32(std * x)
			i++
		}
		if i < len(dst) && (first+i)%2 == 1 {
			dst[i] = float32(std * y)
			i++
		}
	}
}
