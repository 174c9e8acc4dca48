package cpu

import (
	"math"
	"math/rand/v2"
	"testing"
)

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
					if err := p.check(p.run(d), math.MaxInt); err != nil {
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
	ds := devices(t, 3)
	for _, s := range [][3]int{{maxBlockM + 5, 40, 2*maxBlockK + 9}, {30, maxBlockN + 70, 3*maxBlockK - 5}, {maxBlockM + 1, maxBlockN + 1, 3}} {
		for i, f := range forms[:3] {
			p := newProduct(r, f.transA, f.transB, s[0], s[1], s[2], Mode(i%2))
			for _, d := range ds {
				if err := p.check(p.run(d), 5000); err != nil {
					t.Fatalf("%s %v: %v", d.ISA(), p, err)
				}
			}
		}
	}
}

// TestGemmWorkers asks for the same bits whatever the number of workers.
func TestGemmWorkers(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	shapes := [][3]int{{300, 200, 600}, {70, 65, 3000}, {15, 1000, 333}, {7, 900, 500}, {1, 333, 1000}}
	for _, isa := range []isa{portable, avx2, avx512} {
		if isa > supported() {
			continue
		}
		var ds []*Device
		for _, workers := range []int{1, 2, 3, 5} {
			d := New(workers)
			defer d.Close()
			d.isa = isa
			ds = append(ds, d)
		}
		for _, s := range shapes {
			for _, f := range forms[:3] {
				p := newProduct(r, f.transA, f.transB, s[0], s[1], s[2], Accumulate)
				want := p.run(ds[0])
				for _, d := range ds[1:] {
					for range 3 {
						if err := sameBits(want, p.run(d)); err != nil {
							t.Fatalf("%s %v, %d workers: %v", d.ISA(), p, d.Workers(), err)
						}
					}
				}
			}
		}
	}
}

// TestGemmRowsIndependent asks for the same bits of a row whatever the other
// rows, below and above dotMaxRows: a sequence decodes the same in any batch.
func TestGemmRowsIndependent(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, d := range devices(t, 2) {
		for _, rows := range [][2]int{{1, dotMaxRows}, {3, 5}, {dotMaxRows + 1, 40}} {
			p := newProduct(r, false, true, rows[1], 77, 531, Overwrite)
			all := p.run(d)
			p.m = rows[0]
			part := newPoisoned(rows[0], p.n, p.c.ld)
			d.Gemm(false, true, p.m, p.n, p.k, p.a.x, p.a.ld, p.b.x, p.b.ld, part.x, part.ld, Overwrite)
			for i, v := range part.x {
				if math.Float32bits(v) != math.Float32bits(all.x[i]) {
					t.Fatalf("%s: element %d differs between %d and %d rows: %v, %v", d.ISA(), i, rows[0], rows[1], v, all.x[i])
				}
			}
		}
	}
}

// TestGemmInfinity asks that zeros which fill up panels meet no values of
// the matrices: 0·Inf would be NaN.
func TestGemmInfinity(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for _, d := range devices(t, 1) {
		for _, f := range forms {
			p := newProduct(r, f.transA, f.transB, 17, 35, 21, Overwrite)
			// Row 16 of op(a) and column 34 of op(b) are the last.
			set := func(m *poisonedMatrix, i, j int, trans bool) {
				if trans {
					i, j = j, i
				}
				m.x[i*m.ld+j] = float32(math.Inf(1))
			}
			set(p.a, 16, 3, p.transA)
			set(p.b, 5, 34, p.transB)
			c := p.run(d)
			for i := range p.m {
				for j := range p.n {
					v := c.at(i, j, false)
					if bad := math.IsNaN(v) || math.IsInf(v, 0); bad != (i == 16 || j == 34) {
						t.Fatalf("%s %s: element (%d,%d) is %v", d.ISA(), f.name, i, j, v)
					}
				}
			}
		}
	}
}

func TestGemmStats(t *testing.T) {
	d := New(2)
	defer d.Close()
	x := make([]float32, 40*40)
	d.Gemm(false, true, 20, 30, 40, x, 40, x, 40, make([]float32, 600), 30, Overwrite)
	d.Linear(make([]float32, 40), 20, x, 40, x, 2, 20, 10)
	s := d.Stats()
	if want := (Stats{Launches: 2, GEMMs: 2, GEMMFLOPs: 2*20*30*40 + 2*2*20*10}); s != want {
		t.Errorf("stats are %+v, want %+v", s, want)
	}
}

func TestGemmPanics(t *testing.T) {
	d := New(1)
	defer d.Close()
	x := make([]float32, 100)
	for name, f := range map[string]func(){
		"short a":    func() { d.Gemm(false, false, 11, 10, 10, x, 10, x, 10, make([]float32, 110), 10, Overwrite) },
		"short b":    func() { d.Gemm(false, false, 10, 10, 11, make([]float32, 110), 11, x, 10, x, 10, Overwrite) },
		"short c":    func() { d.Gemm(false, true, 10, 11, 5, x, 5, x, 5, x, 11, Overwrite) },
		"distance a": func() { d.Gemm(false, false, 5, 5, 10, x, 9, x, 5, x, 5, Overwrite) },
		"negative":   func() { d.Gemm(false, false, -1, 5, 10, x, 10, x, 5, x, 5, Overwrite) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}
