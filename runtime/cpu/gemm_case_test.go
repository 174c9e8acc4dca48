package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// poison is a NaN that no arithmetic makes, so that a write shows.
var poison = math.Float32frombits(0x7fc0dead)

// A poisonedMatrix is a [rows, cols] matrix with distance ld between rows in a
// buffer of poison: before it, behind it and between its rows.
type poisonedMatrix struct {
	all            []float32
	x              []float32 // the matrix
	rows, cols, ld int
}

const guard = 64

func newPoisoned(rows, cols, ld int) *poisonedMatrix {
	n := 0
	if rows > 0 {
		n = (rows-1)*ld + cols
	}
	m := &poisonedMatrix{rows: rows, cols: cols, ld: ld, all: make([]float32, n+2*guard)}
	for i := range m.all {
		m.all[i] = poison
	}
	m.x = m.all[guard : guard+n]
	return m
}

func randomPoisoned(r *rand.Rand, rows, cols, ld int) *poisonedMatrix {
	m := newPoisoned(rows, cols, ld)
	m.each(func(p *float32) { *p = float32(r.NormFloat64()) })
	return m
}

func (m *poisonedMatrix) each(f func(p *float32)) {
	for i := range m.rows {
		for j := range m.cols {
			f(&m.x[i*m.ld+j])
		}
	}
}

// at is element (i, j), or (j, i) of a matrix that is stored transposed.
func (m *poisonedMatrix) at(i, j int, trans bool) float64 {
	if trans {
		i, j = j, i
	}
	return float64(m.x[i*m.ld+j])
}

// intact says that nothing but the matrix was written.
func (m *poisonedMatrix) intact() error {
	for i, v := range m.all {
		at := i - guard
		inside := at >= 0 && at < len(m.x) && at%m.ld < m.cols
		if !inside && math.Float32bits(v) != math.Float32bits(poison) {
			return fmt.Errorf("element %d relative to the matrix [%d,%d] with distance %d was overwritten with %v", at, m.rows, m.cols, m.ld, v)
		}
	}
	return nil
}

// devices are one device per instruction set of this machine.
func devices(t testing.TB, workers int) []*Device {
	var ds []*Device
	for i := portable; i <= supported(); i++ {
		d := New(workers)
		d.isa = i
		t.Cleanup(d.Close)
		ds = append(ds, d)
	}
	return ds
}

// productCase is one random problem.
type productCase struct {
	transA, transB bool
	m, n, k        int
	mode           Mode
	a, b, c        *poisonedMatrix
}

func newProduct(r *rand.Rand, transA, transB bool, m, n, k int, mode Mode) *productCase {
	gap := func() int { return r.IntN(2) * r.IntN(9) }
	p := &productCase{transA: transA, transB: transB, m: m, n: n, k: k, mode: mode}
	p.a = randomPoisoned(r, m, k, k+gap())
	if transA {
		p.a = randomPoisoned(r, k, m, m+gap())
	}
	p.b = randomPoisoned(r, k, n, n+gap())
	if transB {
		p.b = randomPoisoned(r, n, k, k+gap())
	}
	p.c = newPoisoned(m, n, n+gap())
	if mode == Accumulate {
		p.c.each(func(q *float32) { *q = float32(r.NormFloat64()) })
	}
	return p
}

func (p *productCase) String() string {
	return fmt.Sprintf("transA=%v transB=%v m=%d n=%d k=%d ld=%d,%d,%d %v",
		p.transA, p.transB, p.m, p.n, p.k, p.a.ld, p.b.ld, p.c.ld, p.mode)
}

// copyC gives a fresh result matrix.
func (p *productCase) copyC() *poisonedMatrix {
	c := newPoisoned(p.m, p.n, p.c.ld)
	copy(c.x, p.c.x)
	return c
}

func (p *productCase) run(d *Device) *poisonedMatrix {
	c := p.copyC()
	d.Gemm(p.transA, p.transB, p.m, p.n, p.k, p.a.x, p.a.ld, p.b.x, p.b.ld, c.x, c.ld, p.mode)
	return c
}

// check compares c with op(a)·op(b) + before: all of it, or a sample of about
// the given number of elements.
func (p *productCase) check(c *poisonedMatrix, sample int) error {
	r := rand.New(rand.NewPCG(uint64(p.m), uint64(p.n)))
	for i := range c.rows {
		for j := range c.cols {
			if c.rows*c.cols > sample && r.IntN(c.rows*c.cols) >= sample {
				continue
			}
			if err := p.checkElement(c, i, j); err != nil {
				return err
			}
		}
	}
	return c.intact()
}

// checkElement sums in float64. Each of k products and sums in float32 adds an
// error of at most eps = 2^-24 of the sizes summed so far, hence the limit
// (k+2)·eps·(Σ|a||b| + |before|).
func (p *productCase) checkElement(c *poisonedMatrix, i, j int) error {
	want, size := 0.0, 0.0
	for s := range p.k {
		v := p.a.at(i, s, p.transA) * p.b.at(s, j, p.transB)
		want += v
		size += math.Abs(v)
	}
	if p.mode == Accumulate {
		v := p.c.at(i, j, false)
		want += v
		size += math.Abs(v)
	}
	got := c.at(i, j, false)
	if limit := float64(p.k+2) * 0x1p-24 * size; !(math.Abs(got-want) <= limit) {
		return fmt.Errorf("element (%d,%d) is %v, want %v ± %.2g", i, j, got, want, limit)
	}
	return nil
}

// sameBits compares the elements of two results.
func sameBits(c, d *poisonedMatrix) error {
	for i := range c.all {
		if math.Float32bits(c.all[i]) != math.Float32bits(d.all[i]) {
			return fmt.Errorf("element %d is %v, and %v the other time", i-guard, c.all[i], d.all[i])
		}
	}
	return nil
}
