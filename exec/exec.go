// Package exec runs plans as they stand: it walks the launches of a program
// with the kernels of runtime/cpu, without code generation. What it computes
// has the bits of the code that codegen/golang prints for the same plan, since
// kernels.go and primitives.go here call what the files of the same names
// there print.
//
//	p, err := plan.Parse("plan.txt", text)
//	t, err := exec.NewTrainer(p, exec.Options{})
//	loss := t.MicroStep(model.Batch{Tokens: tokens, Targets: targets}, true)
//
// Each launch is resolved once, to a closure over slices of its operands; a
// step allocates nothing. The package knows plans and kernels, and neither
// specs nor the passes that made a plan.
package exec

import (
	"fmt"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/runtime/cpu"
	"github.com/llamac/llamac/runtime/model"
)

// Options are the choices of one run.
type Options struct {
	model.Options

	// Context is the most tokens that a decoder's sequence may have; 0 for as
	// many as its cache blocks hold.
	Context int
	// Device, if not nil, runs the kernels instead of a new one. Close leaves
	// it open.
	Device *cpu.Device
	// Poison fills memory with NaN before it is written: all activations
	// before each program, the gradients before the first micro-batch of a
	// step, and what a launch overwrites just before it. Whatever reads a dead
	// or a new buffer then gives NaN.
	Poison bool
}

// machine is the memory and the device that the programs of a plan share.
// All memory is float32. Indices and truth values that programs compute are stored
// as whole numbers, which float32 has exactly up to 2^24; integers proper are the
// caller's inputs alone.
type machine struct {
	plan   *plan.Plan
	dev    *cpu.Device
	owned  bool // the device is closed with the machine
	poison bool

	params, grads, moment1, moment2 []float32
	tables, act                     []float32
	state                           map[*plan.State][][]float32 // by layer
}

// newMachine allocates what all programs share, with act as the arena of
// activations, and computes the tables.
// Arenas are counted in bytes and allocated in elements of 4. A decoder may share a
// trainer's weights by Options.Params: the layout is the plan's, so it fits if the
// length does.
func newMachine(p *plan.Plan, o Options, act string) (*machine, error) {
	for _, w := range p.Weights {
		if w.DType != ir.F32 || w.Layout != ir.RowMajor {
			return nil, fmt.Errorf("exec: weight $%s is %s, %s: the kernels read f32, %s", w.Name, w.DType, w.Layout, ir.RowMajor)
		}
	}
	m := &machine{plan: p, dev: o.Device, poison: o.Poison, params: o.Params, state: map[*plan.State][][]float32{}}
	if n := p.Arena("weights") / 4; m.params == nil {
		m.params = make([]float32, n)
	} else if int64(len(m.params)) != n {
		return nil, fmt.Errorf("exec: %d parameters are given, the plan has %d", len(m.params), n)
	}
	if m.dev == nil {
		m.dev, m.owned = cpu.New(o.Workers), true
	}
	m.tables = make([]float32, p.Arena("tables")/4)
	m.act = make([]float32, p.Arena(act)/4)
	// Once and for all: tables depend on sizes and not on inputs.
	if q := p.Program("tables"); q != nil {
		r, err := m.compile(q, nil)
		if err != nil {
			m.close()
			return nil, err
		}
		r.run()
	}
	return m, nil
}

// A device of the caller's may serve several machines, one after the other.
func (m *machine) close() {
	if m.owned {
		m.dev.Close()
	}
}

// program is a list of resolved launches.
// Closures read mode, hyper and inputs through it when they run, so the caller sets
// these and nothing is resolved again.
type program struct {
	*machine
	prog     *plan.Program
	launches []launch
	inputs   map[*plan.Buffer]*[]int32
	live     map[string]*int // sizes of dimensions that vary from run to run
	mode     cpu.Mode        // of gradients: overwrite in the first micro-batch
	hyper    model.Hyper
	norm     float64
	at       int // index of the launch that runs
}

// launch is one item of a program, for one layer.
// Loops are written out at resolution: a plan of L layers has L closures for each
// launch of a body, each with its own slices.
type launch struct {
	run    func()
	name   string
	layer  int // -1 outside of the layers
	poison [][]float32
}

// compile resolves the items of a program. live gives the symbols whose sizes
// the caller sets before each run.
// A program that cannot run as a whole is refused: there is no half of one.
func (m *machine) compile(q *plan.Program, live map[string]*int) (*program, error) {
	r := &program{machine: m, prog: q, inputs: map[*plan.Buffer]*[]int32{}, live: live}
	// The slices behind these pointers change from run to run.
	for _, b := range q.Inputs {
		r.inputs[b] = new([]int32)
	}
	if err := r.items(q.Items, -1); err != nil {
		return nil, fmt.Errorf("exec: program %s: %w", q.Name, err)
	}
	return r, nil
}

// items resolves a list of items for one layer, loops for each of theirs.
// layer is -1 outside of loops, where operands of layers name theirs by a word
// ("first", "end").
func (r *program) items(items []plan.Item, layer int) error {
	for _, it := range items {
		// One for each item, so that an error is that item's.
		e := &env{program: r, layer: layer}
		switch x := it.(type) {
		case *plan.Launch:
			k := kernels[x.Op]
			if k == nil {
				return fmt.Errorf("no kernel for %s: %s", x.Op, x.Text)
			}
			run := k(e, x)
			if e.err != nil {
				return fmt.Errorf("%s: %w", x.Name, e.err)
			}
			r.add(e, run, x.Name, x.Args, x.Results)
		case *plan.Copy:
			// Both sides have as many elements; the source's shape counts them.
			n := x.Src.Type
			y, s := e.sliced(x.Dst, n), e.sliced(x.Src, n)
			if e.err != nil {
				return fmt.Errorf("copy to %s: %w", x.Dst.Name, e.err)
			}
			r.add(e, func() { r.dev.Store(y.get(), s.get(), cpu.Overwrite) }, x.Dst.Name, []plan.Operand{x.Src}, []plan.Operand{x.Dst})
		case *plan.Loop:
			for i := range x.To - x.From {
				l := x.From + i
				if x.Reverse {
					// The backward takes the layers from the last to the first.
					l = x.To - 1 - i
				}
				if err := r.items(x.Body, l); err != nil {
					return fmt.Errorf("layer %d: %w", l, err)
				}
			}
		default:
			return fmt.Errorf("%T: one process has nothing to communicate with", it)
		}
	}
	return nil
}

// What a launch overwrites is known before it runs, so poison costs nothing to find.
func (r *program) add(e *env, run func(), name string, args, results []plan.Operand) {
	l := launch{run: run, name: name, layer: e.layer}
	if r.poison {
		l.poison = e.overwritten(args, results)
	}
	r.launches = append(r.launches, l)
}

// set hands the program an input by name.
// A name that the program does not read is no error: the same call serves specs
// with %starts and without.
func (r *program) set(name string, ids []int32) {
	for b, p := range r.inputs {
		if b.Name == name {
			*p = ids
		}
	}
}

// run runs all launches.
// Launches run one after the other; each kernel spreads over the workers itself.
func (r *program) run() {
	// Activations of the last run must not matter. Tables have no arena of
	// activations, and theirs must stay.
	if r.poison && r.prog.Name != "tables" {
		fillNaN(r.act)
	}
	for i := range r.launches {
		l := &r.launches[i]
		// Diagnose asks at which launch the kernel was that found a NaN.
		r.at = i
		for _, x := range l.poison {
			fillNaN(x)
		}
		l.run()
	}
}

// result is the first element of the program's result.
// The closure reads memory that the last run wrote.
func (r *program) result() func() float32 {
	e := &env{program: r, layer: -1}
	x := e.at(r.prog.Results[0])
	return func() float32 { return x[0] }
}

// Unsupported says why a plan with launches of an op cannot be run, or is
// empty.
func Unsupported(op string) string { return plan.Unsupported(op, kernels[op] != nil) }
