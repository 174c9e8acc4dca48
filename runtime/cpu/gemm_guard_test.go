//go:build unix

package cpu

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"unsafe"
)

// mapped returns n floats that end (or start) at a page which cannot be read:
// an access beyond them kills the process.
func mapped(t *testing.T, n int, atEnd bool) []float32 {
	page := syscall.Getpagesize()
	size := (4*n+page-1)/page*page + 2*page
	m, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Skipf("mmap: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Munmap(m); err != nil {
			t.Error(err)
		}
	})
	for _, guard := range [][]byte{m[:page], m[size-page:]} {
		if err := syscall.Mprotect(guard, syscall.PROT_NONE); err != nil {
			t.Skipf("mprotect: %v", err)
		}
	}
	inside := m[page : size-page]
	if atEnd {
		inside = inside[len(inside)-4*n:]
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(inside))), n)
}

// TestKernelsStayInside runs kernels on operands beside unreadable pages.
func TestKernelsStayInside(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 24))
	ds := devices(t, 1)
	for i := range 60 {
		atEnd := i%2 == 0
		m, n, k := 1+r.IntN(35), 1+r.IntN(70), 1+r.IntN(70)
		a, b, c := mapped(t, m*k, atEnd), mapped(t, n*k, atEnd), mapped(t, m*n, atEnd)
		for _, d := range ds {
			for _, f := range forms {
				lda, ldb := k, n
				if f.transA {
					lda = m
				}
				if f.transB {
					ldb = k
				}
				d.Gemm(f.transA, f.transB, m, n, k, a, lda, b, ldb, c, n, Accumulate)
			}
			rows := 1 + i%dotMaxRows
			x, y := mapped(t, rows*k, atEnd), mapped(t, rows*n, atEnd)
			d.Linear(y, n, x, k, b, rows, n, k)
			d.SumSquares(a)
			d.AdamW(c, c, mapped(t, m*n, atEnd), mapped(t, m*n, atEnd), AdamWStep{Beta1: 0.9, Beta2: 0.95, Step: 1})
		}
	}
}
