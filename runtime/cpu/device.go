// Package cpu holds the kernels that generated Go code calls on the CPU.
//
// A Device owns the worker pool, the packing buffers and the choice of
// instruction set. Every kernel is a method of it, takes flat float32 slices
// with explicit sizes, allocates nothing, and gives the same bits whatever the
// number of workers: work is cut by shape, never by the number of workers, and
// a reduction adds its parts in a fixed order.
package cpu

import "runtime"

// A Device runs kernels. It is not safe for concurrent use.
type Device struct {
	pool  pool
	tasks tasks
	isa   isa
	stats Stats
	watch func(launch int, kernel string, finite bool)
	count int // launches since Watch
}

// Stats counts what kernels did, for tests and reports.
type Stats struct {
	Launches        int64
	GEMMs           int64 // matrix products launched
	GEMMFLOPs       int64
	AttentionBlocks int64 // key blocks visited by attention forward, summed over query blocks, heads and batch
}

// New makes a device with the given number of workers; 0 means GOMAXPROCS.
func New(workers int) *Device {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	// The instruction set is found once; every kernel passes it on.
	d := &Device{isa: detect()}
	d.pool.start(workers)
	d.tasks.init(workers)
	return d
}

// Close ends the workers.
func (d *Device) Close() { d.pool.stop() }

// ISA names the instruction set in use: portable, avx2 or avx512.
func (d *Device) ISA() string { return d.isa.String() }

// Workers is the number of goroutines that run kernels, the caller included.
func (d *Device) Workers() int { return d.pool.workers }

// Stats returns the counters and sets them to zero.
func (d *Device) Stats() Stats {
	s := d.stats
	d.stats = Stats{}
	return s
}

// Watch makes each following kernel report, when it ends, its number since
// this call (from 0), its name and whether all elements of its results are
// finite. Watch(nil) turns it off.
//
// It serves Diagnose, which runs a step once more to find the first node that
// went wrong: looking at every result of every kernel is too slow to do always.
func (d *Device) Watch(f func(launch int, kernel string, finite bool)) {
	d.watch, d.count = f, 0
}

// launched is called once at the end of every kernel with its results.
func (d *Device) launched(kernel string, results ...[]float32) {
	d.stats.Launches++
	if d.watch != nil {
		d.report(kernel, results)
	}
}

// launchedMatrix is launched for one result of rows × cols elements with
// distance ld between rows; what lies between the rows is not looked at.
//
// Between the rows of a member of a pack lie other members, which are not
// written yet or written by somebody else.
func (d *Device) launchedMatrix(kernel string, c []float32, rows, cols, ld int) {
	d.stats.Launches++
	if d.watch == nil {
		return
	}
	finite := true
	for r := range rows {
		finite = finite && allFinite(c[r*ld:r*ld+cols])
	}
	d.watch(d.count, kernel, finite)
	d.count++
}

func (d *Device) report(kernel string, results [][]float32) {
	finite := true
	for _, r := range results {
		finite = finite && allFinite(r)
	}
	d.watch(d.count, kernel, finite)
	d.count++
}

func allFinite(x []float32) bool {
	for _, v := range x {
		// x - x is 0 for finite numbers, and NaN for NaN and both infinities:
		// one test for three cases.
		if v-v != 0 { // NaN or Inf
			return false
		}
	}
	return true
}
