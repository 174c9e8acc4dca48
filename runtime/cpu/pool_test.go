package cpu

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// countTask counts how often each chunk was done.
type countTask struct {
	done    []atomic.Int32
	workers []atomic.Int32
	delay   func(chunk int)
}

func (t *countTask) do(chunk, worker int) {
	t.workers[worker].Add(1)
	if t.delay != nil {
		t.delay(chunk)
	}
	t.done[chunk].Add(1)
}

func TestPoolDoesEachChunkOnce(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 9} {
		d := New(workers)
		for launch := range 3000 {
			c := &countTask{done: make([]atomic.Int32, launch%41), workers: make([]atomic.Int32, workers)}
			switch launch % 500 {
			case 3:
				time.Sleep(3 * time.Millisecond) // let workers fall asleep
			case 4:
				c.delay = func(int) { time.Sleep(100 * time.Microsecond) } // let the caller fall asleep
			}
			d.run(c, len(c.done))
			for i := range c.done {
				if n := c.done[i].Load(); n != 1 {
					t.Fatalf("%d workers: chunk %d was done %d times when run returned", workers, i, n)
				}
			}
		}
		d.Close()
	}
}

// TestPoolSharesWork has chunks that wait for each other: it ends only if
// all workers come.
func TestPoolSharesWork(t *testing.T) {
	const workers = 4
	d := New(workers)
	defer d.Close()
	for range 20 {
		var arrived atomic.Int32
		c := &countTask{done: make([]atomic.Int32, workers), workers: make([]atomic.Int32, workers)}
		c.delay = func(int) {
			arrived.Add(1)
			for arrived.Load() < workers {
				time.Sleep(50 * time.Microsecond)
			}
		}
		d.run(c, workers)
		for w := range c.workers {
			if n := c.workers[w].Load(); n != 1 {
				t.Fatalf("worker %d did %d chunks", w, n)
			}
		}
	}
}

// TestPoolOneProcessor runs more workers than processors.
func TestPoolOneProcessor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	d := New(4)
	defer d.Close()
	x := make([]float32, 1<<20)
	a, b := make([]float32, 200*300), make([]float32, 300*200)
	for range 50 {
		d.SumSquares(x)
		d.Gemm(false, false, 200, 200, 300, a, 300, b, 200, x, 200, Overwrite)
	}
}

func TestCloseEndsWorkers(t *testing.T) {
	before := runtime.NumGoroutine()
	d := New(6)
	if n := runtime.NumGoroutine(); n != before+5 {
		t.Errorf("6 workers are %d goroutines more", n-before)
	}
	d.Close()
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines are left", n-before)
	}
	d.Gemm(false, false, 1, 1, 1, []float32{2}, 1, []float32{3}, 1, make([]float32, 1), 1, Overwrite) // on the caller
}

func TestWatch(t *testing.T) {
	d := New(2)
	defer d.Close()
	type report struct {
		launch int
		kernel string
		finite bool
	}
	var got []report
	d.Watch(func(launch int, kernel string, finite bool) { got = append(got, report{launch, kernel, finite}) })
	x := []float32{1, 2, 3, 4}
	c := []float32{0, 0, poison, 0, 0} // the poison lies between the rows
	d.Gemm(false, false, 2, 2, 2, x, 2, x, 2, c, 3, Overwrite)
	d.LinearGradX(c, 3, []float32{1, poison, 3, 4}, 2, x, 2, 2, 2, Overwrite)
	d.Watch(nil)
	d.SumSquares(x)
	want := []report{{0, "gemm", true}, {1, "linear_grad_x", false}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("reports are %v, want %v", got, want)
	}
}

// TestLaunchesAllocateNothing covers the kernels of this file's neighbours.
func TestLaunchesAllocateNothing(t *testing.T) {
	x, y := make([]float32, 256*256), make([]float32, 256*256)
	c, w := make([]float32, 256*256), make([]float32, 256*256)
	for _, d := range devices(t, 2) {
		for name, f := range map[string]func(){
			"gemm":   func() { d.Gemm(true, false, 256, 100, 200, x, 256, y, 100, c, 256, Accumulate) },
			"linear": func() { d.Linear(c, 256, x, 256, y, 30, 60, 50); d.Linear(c, 256, x, 256, y, 3, 60, 50) },
			"grads": func() {
				d.LinearGradX(c, 256, x, 256, y, 30, 60, 50, Overwrite)
				d.LinearGradW(c, x, 256, y, 256, 30, 60, 50, Overwrite)
			},
			"batch": func() { d.MatMulBatch(c, x, y, 4, 30, 30, 30, 900, 0, 900, false, true, Overwrite) },
			"adamw": func() { d.AdamW(c, x, y, w, AdamWStep{LR: 1e-3, Beta1: 0.9, Beta2: 0.95, Step: 1}) },
			"norm":  func() { d.SumSquares(x) },
		} {
			if n := testing.AllocsPerRun(5, f); n != 0 {
				t.Errorf("%s %s: %v allocations", d.ISA(), name, n)
			}
		}
	}
}

func BenchmarkLaunch(b *testing.B) {
	d := New(0)
	defer d.Close()
	c := &emptyTask{}
	for b.Loop() {
		d.run(c, 2)
	}
}

type emptyTask struct{}

func (emptyTask) do(_, _ int) {}
