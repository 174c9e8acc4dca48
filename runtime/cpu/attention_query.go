package cpu

import "math"

// A queryTile is a block of up to tileQ queries of one head on its way through
// the keys: the softmax is carried from tile to tile as the running maximum m
// and sum of each query, in units of log2, and the weighted sum of values o is
// scaled whenever the maximum moves (Milakov and Gimelshein 2018; Dao 2023).
type queryTile struct {
	isa           isa
	nq, hd, hp    int       // queries; head size, and rounded up to whole vectors
	qt            []float32 // [hd, tileQ]: queries times scale·log2(e), transposed
	s             []float32 // [tileK, tileQ]: scores, then their exponentials
	o             []float32 // [tileQ, hp]
	vp            []float32 // [tileK, hp]: padded copy of values, if hp is not hd
	m, sum, alpha [tileQ]float32
	more          bool // o holds something
}

func queryTileScratch(hd int) int { return hd*tileQ + tileK*tileQ + 2*tileQ*roundUp(hd, lanes) }

// begin takes nq queries, ldq elements from row to row, and scratch memory.
func (g *queryTile) begin(l isa, mem, q []float32, ldq, nq, hd int, scale float32) {
	g.isa, g.nq, g.hd, g.hp, g.more = l, nq, hd, roundUp(hd, lanes), false
	g.qt, mem = mem[:hd*tileQ], mem[hd*tileQ:]
	g.s, mem = mem[:tileK*tileQ], mem[tileK*tileQ:]
	g.o, g.vp = mem[:tileQ*g.hp], mem[tileQ*g.hp:2*tileQ*g.hp]
	transpose(l, g.qt, q, ldq, nq, hd, scale*log2e)
	// Finite, and below any score: see noScore.
	for i := range g.m {
		g.m[i], g.sum[i] = noScore, 0
	}
}

// absorb takes in nk keys, whose scores stand in s, and their values. In a
// diagonal tile, 16 queries see the keys up to the last of their own only.
func (g *queryTile) absorb(v []float32, ldv, nk int, diagonal bool) {
	for c := 0; c < g.nq; c += lanes {
		softmaxTile(g.isa, g.s[c:], keysOf(c, nk, diagonal),
			(*[lanes]float32)(g.m[c:]), (*[lanes]float32)(g.sum[c:]), (*[lanes]float32)(g.alpha[c:]))
	}
	if g.hp != g.hd {
		v, ldv = padRows(g.vp, g.hp, v, ldv, nk, g.hd), g.hp
	}
	if g.more {
		for i, a := range g.alpha[:g.nq] {
			if a != 1 {
				o := g.o[i*g.hp : (i+1)*g.hp]
				vecScale(g.isa, o, o, a)
			}
		}
	}
	step := g.nq
	if diagonal {
		step = lanes
	}
	for c := 0; c < g.nq; c += step {
		tileMul(g.isa, g.o[c*g.hp:], g.hp, g.s[c:], 1, tileQ, v, ldv, min(step, g.nq-c), g.hp, keysOf(c, nk, diagonal), g.more)
	}
	g.more = true
}

// finish divides by the sums, and writes the rows of the result and, unless lse
// is nil, the log of the sum of exponentials of each query. A query that saw no
// key has nothing to divide: zeros and -Inf.
func (g *queryTile) finish(o []float32, ldo int, lse []float32) {
	for i, sum := range g.sum[:g.nq] {
		if sum == 0 {
			clear(o[i*ldo:][:g.hd])
			if lse != nil {
				lse[i] = float32(math.Inf(-1))
			}
			continue
		}
		vecScale(g.isa, o[i*ldo:][:g.hd], g.o[i*g.hp:][:g.hd], 1/sum)
		if lse != nil {
			lse[i] = float32(float64(g.m[i])*ln2 + logOf(sum))
		}
	}
}

// padRows copies x [rows, hd] to y [rows, hp]. Columns from hd on are left as
// they are: products carry them to columns that nobody reads.
func padRows(y []float32, hp int, x []float32, ldx, rows, hd int) []float32 {
	for r := range rows {
		copy(y[r*hp:][:hd], x[r*ldx:][:hd])
	}
	return y
}
