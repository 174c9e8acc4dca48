package weights

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/runtime/rng"
)

// Init fills params, the flat arena, with the initial weights of a seed. Each
// element is a function of the seed, the weight's name and its index, so
// neither the order of weights nor the number of workers matters. What lies
// between weights is left alone.
func Init(info model.Info, seed uint64, params []float32, workers int) {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	// A piece is a run of elements of one weight.
	type piece struct {
		w          *model.Weight
		begin, end int
	}
	// Large matrices are cut so that workers end together; the cut changes no
	// number.
	const length = 1 << 16
	var pieces []piece
	for i := range info.Weights {
		w := &info.Weights[i]
		for b := 0; b < w.Len(); b += length {
			pieces = append(pieces, piece{w, b, min(b+length, w.Len())})
		}
	}
	// The workers take pieces as they come: which one fills what does not
	// matter.
	var next atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for n := next.Add(1); n <= int64(len(pieces)); n = next.Add(1) {
				p := pieces[n-1]
				initPiece(p.w, seed, params[p.w.Offset+p.begin:p.w.Offset+p.end], p.begin)
			}
		})
	}
	// No error can come: an initialiser that is not known is a bug of the
	// compiler.
	all.Wait()
}

// initPiece fills the elements of a weight from number first on.
// The kinds are those of the IR's Init, which the compiler checks.
func initPiece(w *model.Weight, seed uint64, dst []float32, first int) {
	switch w.Init.Kind {
	case "normal":
		// A stream of its own for each name: adding a weight to a model leaves
		// the others as they were.
		rng.Named(seed, w.Name).Fill(dst, first, w.Init.Std)
	case "ones":
		for i := range dst {
			dst[i] = 1
		}
	case "zeros":
		clear(dst)
	default:
		panic(fmt.Sprintf("weight %s: no initialiser %q", w.Name, w.Init.Kind))
	}
}
