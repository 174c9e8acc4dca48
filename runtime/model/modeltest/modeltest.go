// Package modeltest makes the weights and tokens with which generated code and
// the interpreter are compared: both sides compute them from a seed, so that
// only results need be stored.
package modeltest

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"

	"github.com/llamac/llamac/runtime/model"
)

// Fill sets every weight to numbers of a size at which no term of a gradient
// vanishes: norms near 1, matrices uniform with a standard deviation of
// 1/sqrt(inputs). Element i of a weight depends on seed, name and i alone.
//
// Gains around 1 and products that keep the variance leave activations and
// gradients of ordinary size in all layers, so that an error relative to a
// tensor's largest element means something.
func Fill(params []float32, weights []model.Weight, seed uint64) {
	for _, w := range weights {
		Weight(params[w.Offset:][:w.Len()], w.Name, w.Shape, seed)
	}
}

// Weight fills one tensor of the given shape.
//
// Uniform numbers need one multiplication and are exact in any language that
// knows 64-bit integers.
func Weight(dst []float32, name string, shape []int, seed uint64) {
	// The name is mixed in byte by byte, so that tensors of one shape differ.
	h := seed
	for _, c := range []byte(name) {
		h = mix(h ^ uint64(c))
	}
	for i := range dst {
		// 53 bits, all that a float64 holds, scaled to [0, 2).
		u := float64(mix(h+uint64(i)+1)>>11)/(1<<52) - 1 // [-1, 1)
		if len(shape) == 1 {
			dst[i] = float32(1 + 0.25*u)
		} else {
			// A uniform number on [-1, 1) has a variance of 1/3.
			dst[i] = float32(u * math.Sqrt(3/float64(shape[len(shape)-1])))
		}
	}
}

// Tokens are n ids below vocab.
//
// The remainder is not quite uniform, which does not matter here.
func Tokens(n, vocab int, seed uint64) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(mix(seed*0x9e3779b97f4a7c15+uint64(i)) % uint64(vocab))
	}
	return ids
}

// Batch is a micro-batch of the model's size, with documents if it reads where
// they begin.
//
// Tokens and targets have different seeds: a model cannot be right by copying.
func Batch(info *model.Info, tokenSeed, targetSeed uint64) model.Batch {
	rows, context := info.Recipe.MicroBatch, info.Context
	b := model.Batch{Tokens: Tokens(rows*context, info.Vocab, tokenSeed), Targets: Tokens(rows*context, info.Vocab, targetSeed)}
	if info.Masked {
		b.Starts = Starts(rows, context, tokenSeed)
	}
	return b
}

// Starts are the beginnings of the documents of rows packed sequences: of 1 to
// 11 tokens each, the first of a sequence begun in the one before.
//
// Lengths of documents include 1, and no length is tied to that of a tile, so
// that boundaries fall everywhere.
func Starts(rows, context int, seed uint64) []int32 {
	starts := make([]int32, rows*context)
	at, left := int32(0), 0
	for i := range starts {
		switch {
		case i%context == 0:
			at = 0
			left = int(mix(seed^uint64(i)) % 11)
		case left == 0:
			at = int32(i % context)
			left = int(mix(seed^uint64(i)) % 11)
		default:
			left--
		}
		starts[i] = at
	}
	return starts
}

// mix is the finaliser of splitmix64 (Steele et al. 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// ReadF32 reads a file of little-endian float32.
//
// The files are small, and checked by their length alone: their contents are
// what tests compare with.
func ReadF32(path string) ([]float32, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(b)%4 != 0 {
		return nil, fmt.Errorf("%s: %d bytes are no whole number of float32", path, len(b))
	}
	x := make([]float32, len(b)/4)
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return x, nil
}

// EncodeF32 is the contents of a file that ReadF32 reads.
func EncodeF32(x []float32) []byte {
	b := make([]byte, 0, 4*len(x))
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// MaxDiff is the largest difference of two vectors and the largest magnitude
// of the second.
//
// NaN anywhere makes the difference infinite; max would pass it over.
func MaxDiff(got, want []float32) (diff, scale float64) {
	for i := range want {
		diff = max(diff, math.Abs(float64(got[i])-float64(want[i])))
		if math.IsNaN(float64(got[i])) {
			return math.Inf(1), 1
		}
		scale = max(scale, math.Abs(float64(want[i])))
	}
	return diff, scale
}
