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

// checkProduct compares c with op(a)·op(b) + before, summed in float64. Each
// of k products and sums in float32 adds a relative error of eps = 2^-24 of
// what was summed so far, so |error| <= (k+2)·eps·(Σ|a||b| + |before|).
func checkProduct(c, a, b, before *poisonedMatrix, transA, transB bool, k int) error {
	for i := range c.rows {
		for j := range c.cols {
			want, size := 0.0, 0.0
			for p := range k {
				v := a.at(i, p, transA) * b.at(p, j, transB)
				want += v
				size += math.Abs(v)
			}
			if before != nil {
				want += before.at(i, j, false)
				size += math.Abs(before.at(i, j, false))
			}
			got := c.at(i, j, false)
			if limit := float64(k+2) * 0x1p-24 * size; !(math.Abs(got-want) <= limit) {
				return fmt.Errorf("element (%d,%d) is %v, want %v ± %.2g", i, j, got, want, limit)
			}
		}
	}
	return c.intact()
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

func (p *productCase) check(c *poisonedMatrix) error {
	var before *poisonedMatrix
	if p.mode == Accumulate {
		before = p.c
	}
	return checkProduct(c, p.a, p.b, before, p.transA, p.transB, p.k)
}

// forms are the transposes that training needs, and TT.
var forms = []struct {
	name           string
	transA, transB bool
}{{"NT", false, true}, {"NN", false, false}, {"TN", true, false}, {"TT", true, true}}

func TestGemmOddShapes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	ds := devices(t, 2)
	shapes := [][3]int{{0, 3, 4}, {3, 0, 4}, {3, 4, 0}, {1, 1, 1}, {0, 0, 0}}
	// Around the edges of tiles, of vectors and of blocks.
	edges := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 17, 27, 28, 29, 31, 32, 33, 47, 48, 49, 63, 64, 65}
	for range 120 {
		shapes = append(shapes, [3]int{edges[r.IntN(len(edges))], edges[r.IntN(len(edges))], edges[r.IntN(len(edges))]})
	}
	for range 12 {
		shapes = append(shapes, [3]int{1 + r.IntN(150), 1 + r.IntN(150), 1 + r.IntN(700)})
	}
	for _, s := range shapes {
		for _, f := range forms {
			for _, mode := range []Mode{Overwrite, Accumulate} {
				p := newProduct(r, f.transA, f.transB, s[0], s[1], s[2], mode)
				for _, d := range ds {
					if err := p.check(p.run(d)); err != nil {
						t.Fatalf("%s %v: %v", d.ISA(), p, err)
					}
				}
			}
		}
	}
}

// TestGemmManyBlocks crosses blocks of all three dimensions.
func TestGemmManyBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, s := range [][3]int{{maxBlockM + 5, 40, 2*maxBlockK + 9}, {30, maxBlockN + 70, 3*maxBlockK - 5}, {maxBlockM + 1, maxBlockN + 1, 3}} {
		for i, f := range forms {
			p := newProduct(r, f.transA, f.transB, s[0], s[1], s[2], Mode(i%2))
			for _, d := range devices(t, 3) {
				if d.isa == portable && d.isa != supported() && i > 1 {
					continue // slow, and covered by two forms
				}
				c := p.run(d)
				// Whole rows and columns are checked against sparse samples:
				// float64 sums of everything would take seconds.
				if err := c.intact(); err != nil {
					t.Fatalf("%s %v: %v", d.ISA(), p, err)
				}
				for range 4000 {
					i, j := r.IntN(p.m), r.IntN(p.n)
					if err := p.element(c, i, j).check(); err != nil {
						t.Fatalf("%s %v: at (%d,%d): %v", d.ISA(), p, i, j, err)
					}
				}
			}
		}
	}
}

// element cuts one element out of a product.
func (p *productCase) element(c *poisonedMatrix, i, j int) *elementCheck {
	e := &elementCheck{got: float64(c.x[i*c.ld+j]), k: p.k}
	for s := range p.k {
		v := p.a.at(i, s, p.transA) * p.b.at(s, j, p.transB)
		e.want += v
		e.size += math.Abs(v)
	}
	if p.mode == Accumulate {
		v := float64(p.c.x[i*p.c.ld+j])
		e.want, e.size = e.want+v, e.size+math.Abs(v)
	}
	return e
}

type elementCheck struct {
	got, want, size float64
	k               int
}

func (e *elementCheck) check() error {
	if limit := float64(e.k+2) * 0x1p-24 * e.size; !(math.Abs(e.got-e.want) <= limit) {
		return fmt.Errorf("is %v, want %v ± %.2g", e.got, e.want, limit)
	}
	return nil
}
