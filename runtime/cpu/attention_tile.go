package cpu

import "math"

// Attention works on tiles of AttentionBlockQ queries and AttentionBlockK keys.
// A tile of scores is kept transposed, [keys, queries]: queries lie along the
// vector lanes, so that maximum and sum over keys need no shuffles, and each of
// the products of forward and backward is C += A·B with rows of B and C
// contiguous and A read one element at a time, at any two strides. Only q and
// do are transposed, once a block of queries.
const (
	AttentionBlockQ = 64
	AttentionBlockK = 64

	tileQ = AttentionBlockQ // short names for the code below
	tileK = AttentionBlockK
	lanes = 16 // columns of a tile that are worked on together
)

// noScore starts the running maximum: below any score, but finite, so that
// scores of -Inf, which masks write, are e^-Inf = 0 against it.
const noScore = -1e30

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// tileMulGo computes C = A·B, or C += A·B if acc. C is [m, n] with ldc elements
// from row to row, B [k, n] with ldb; A(i, p) is a[i·ars + p·aks].
func tileMulGo(c []float32, ldc int, a []float32, ars, aks int, b []float32, ldb int, m, n, k int, acc bool) {
	for i := range m {
		c := c[i*ldc:][:n]
		if !acc {
			clear(c)
		}
		a := a[i*ars:]
		p := 0
		// Four steps of k at a time read c once for four additions.
		for ; p+4 <= k; p += 4 {
			a0, a1, a2, a3 := a[p*aks], a[(p+1)*aks], a[(p+2)*aks], a[(p+3)*aks]
			b0, b1, b2, b3 := b[p*ldb:][:len(c)], b[(p+1)*ldb:][:len(c)], b[(p+2)*ldb:][:len(c)], b[(p+3)*ldb:][:len(c)]
			for j := range c {
				c[j] = c[j] + a0*b0[j] + a1*b1[j] + a2*b2[j] + a3*b3[j]
			}
		}
		for ; p < k; p++ {
			x := a[p*aks]
			b := b[p*ldb:][:len(c)]
			for j := range c {
				c[j] += x * b[j]
			}
		}
	}
}

// softmaxTileGo carries the softmax of 16 queries over a tile of scores s [rows,
// tileQ], in units of log2: it raises the running maxima m to cover the tile,
// sets alpha to 2^(old m - new m), replaces s by 2^(s - m) and updates the
// running sums to sum·alpha + Σ s.
func softmaxTileGo(s []float32, rows int, m, sum, alpha *[lanes]float32) {
	top := *m
	for j := range rows {
		s := s[j*tileQ:][:lanes]
		for i, v := range s {
			if v > top[i] {
				top[i] = v
			}
		}
		// The maximum is known before anything is subtracted from it.
	}
	var add [lanes]float32
	for j := range rows {
		s := s[j*tileQ:][:lanes]
		for i := range s {
			s[i] = exp2Neg(s[i] - top[i])
			add[i] += s[i]
		}
	}
	for i := range top {
		alpha[i] = exp2Neg(m[i] - top[i])
		sum[i] = float32(sum[i]*alpha[i]) + add[i]
		m[i] = top[i]
	}
}

// gradTileGo turns scores s [rows, tileQ] of 16 queries, in units of log2, into
// probabilities 2^(s - lse), and dp, the gradient of the probabilities, into
// that of the unscaled scores, s·(dp - delta)·scale.
func gradTileGo(s, dp []float32, rows int, lse, delta *[lanes]float32, scale float32) {
	for j := range rows {
		s, dp := s[j*tileQ:][:lanes], dp[j*tileQ:][:lanes]
		for i := range s {
			p := exp2Neg(s[i] - lse[i])
			s[i] = p
			dp[i] = p * (dp[i] - delta[i]) * scale
		}
	}
}

// rowDotsGo computes the dot products of the rows of x and y [rows, n].
func rowDotsGo(out, x []float32, ldx int, y []float32, ldy, rows, n int) {
	for r := range rows {
		out[r] = dotGo(x[r*ldx:][:n], y[r*ldy:][:n])
	}
}

// transposeGo writes x [rows, cols], ldx elements from row to row, times scale
// to y [cols, tileQ]; the columns of y from rows on are zeroed.
func transposeGo(y, x []float32, ldx, rows, cols int, scale float32) {
	for c := range cols {
		y := y[c*tileQ:][:tileQ]
		for r := range rows {
			y[r] = x[r*ldx+c] * scale
		}
		clear(y[rows:])
	}
}

// maskTile writes -Inf where a query must not see a key, in a tile of scores
// whose first query and first key are q0 and k0. Of a diagonal tile, only the
// blocks of 16×16 on the diagonal hold both kinds; those above are not computed
// at all.
func maskTile(s []float32, q0, k0, nq, nk int, diagonal bool, window int) {
	if diagonal {
		for j := range nk {
			fillInf(s[j*tileQ:], j&^(lanes-1), j)
		}
	}
	// Only tiles that reach back to the window's edge.
	if window > 0 && q0+nq-1 >= k0+window {
		for j := range nk {
			fillInf(s[j*tileQ:], k0+j+window-q0, tileQ)
		}
	}
}

// maskRun is maskTile for a tile at any place: query q0+i must not see keys
// after it, nor, if window > 0, those window before it or more.
func maskRun(s []float32, q0, k0, nq, nk, window int) {
	// The first query sees keys up to its own position, and each key further on
	// is hidden from one query more.
	for j := max(0, q0+1-k0); j < nk; j++ {
		fillInf(s[j*tileQ:], 0, k0+j-q0)
	}
	maskTile(s, q0, k0, nq, nk, false, window)
}

// fillInf writes -Inf to columns lo..hi-1 of a row of a tile.
func fillInf(row []float32, lo, hi int) {
	for i := max(0, lo); i < min(tileQ, hi); i++ {
		row[i] = float32(math.Inf(-1))
	}
}
