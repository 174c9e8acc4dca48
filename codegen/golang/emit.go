package golang

import (
	"fmt"
	"math"
	"strings"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
)

// printer prints one program's launches as calls of runtime/cpu.
//
// Lines are text, and only become jennifer's tokens when the file is put
// together (see generator.body): a call is then readable here as it will be in
// the output. While a loop's body is printed, out and uses are the body's and
// those of the program wait in outer and outerU.
type printer struct {
	g       *generator
	prog    *plan.Program
	live    map[string]string // symbol -> Go expression of its size
	scratch string            // field of the receiver that holds the program's scratch
	fields  *names            // of scratch buffers
	out     []string          // lines of the current function
	// Declarations follow from use: a variable that no line mentions must not
	// be declared, or Go refuses the file.
	uses   map[string]bool // local variables that the current function needs: w, g, s, next, b, mode, d
	trace  []traceSection
	loop   *plan.Loop
	block  string // what the loop's layer stores
	bodies []layerFunc
	outer  []string
	outerU map[string]bool
}

// layerFunc is a method that runs one layer.
//
// Loops call methods, since a layer's backward inside of a loop would hide the
// program that it is part of.
type layerFunc struct {
	name    string
	doc     string
	lines   []string
	uses    map[string]bool
	reverse bool
	saved   string // what the layer stores
}

// A section is a stretch of launches between which no loop begins or ends:
// Trace counts launches through the layers, without listing each of them once a
// layer.
type traceSection struct {
	loop  *plan.Loop
	nodes []string
}

func (p *printer) line(format string, args ...any) {
	p.out = append(p.out, fmt.Sprintf(format, args...))
}

// call prints a call of a kernel and notes which node it computes.
//
// Every kernel reports one launch, in the order of these calls. That is what
// makes launch numbers lead back to names, so whoever prints a call in another
// way calls traced, where its program has a trace.
func (p *printer) call(l *plan.Launch, kernel string, args ...string) {
	p.uses["d"] = true
	p.line("d.%s(%s)", kernel, strings.Join(args, ", "))
	p.traced(l.Name)
}

func (p *printer) traced(name string) {
	if len(p.trace) == 0 || p.trace[len(p.trace)-1].loop != p.loop {
		p.trace = append(p.trace, traceSection{loop: p.loop})
	}
	t := &p.trace[len(p.trace)-1]
	t.nodes = append(t.nodes, name)
}

// Launch prints the IR's line as a comment and the calls that compute it.
func (p *printer) Launch(l *plan.Launch) error {
	// Of a pack that became several launches the first has the node's text, and
	// the others point up to it with three dots.
	if !strings.HasPrefix(l.Text, "...") {
		p.line("// %s", l.Text)
	}
	k, ok := kernels[l.Op]
	if !ok {
		return fmt.Errorf("target go: no kernel for %s: %s", l.Op, l.Text)
	}
	// Inputs are []int32, everything else is []float32: a kernel of floats
	// would not compile, and the message would name a line that nobody wrote.
	for _, a := range l.Args {
		if a.Kind == plan.InBuffer && a.Buffer.Region == plan.Input && a.Buffer.DType == ir.I32 && !readsIntegers[l.Op] {
			return fmt.Errorf("target go: %%%s is an input of integers, which no kernel of %s reads: %s", a.Name, l.Op, l.Text)
		}
	}
	return k(p, l)
}

// readsIntegers are the ops whose kernels take a program's inputs as they come;
// all other kernels compute with floats.
//
// Integers that the program computes itself are held as floats
// (scheduler.buffer), which all kernels take.
var readsIntegers = map[string]bool{
	"gather": true, "gather_grad": true, "cross_entropy": true, "cross_entropy_grad": true, "linear_xent": true, "linear_xent_grad": true,
	"attention": true, "attention_grad": true, "attention_kv": true, "kv_write": true, "cast": true,
}

// Copy prints the copy of a value that could not stay in its place.
//
// It is a kernel like others for whoever counts launches.
func (p *printer) Copy(c *plan.Copy) error {
	n := p.count(c.Src.Type)
	p.uses["d"] = true
	p.line("// %s keeps its place from layer to layer", c.Dst.Name)
	p.line("d.Store(%s, %s, cpu.Overwrite)", p.sliced(c.Dst, n), p.sliced(c.Src, n))
	p.traced(c.Dst.Name)
	return nil
}

// at is the Go expression of the slice that an operand starts at.
func (p *printer) at(o plan.Operand) string {
	var s string
	switch o.Kind {
	case plan.Absent:
		return "nil"
	// An optional operand that is not there.
	case plan.Immediate:
		// A number where a slice is wanted: a slice of one, made once for the
		// file.
		return p.g.numberVar(float(o.Value))
	case plan.InWeights, plan.InGrads:
		root := "w"
		if o.Kind == plan.InGrads {
			root = "g"
		}
		// Outside of the layers weights are fields of t.w; inside, prelude
		// points w and g at the layer's.
		if o.Layer == plan.NoLayer {
			root = "t." + root
		} else {
			p.uses[root] = true
		}
		return root + "." + p.g.weightField(o)
	case plan.InState:
		// The state of a layer is a slice of its own: a cache has no common
		// arena.
		p.uses["l"] = true
		return "t." + ident(o.State.Name) + "[l]"
	case plan.InBuffer:
		b := o.Buffer
		switch b.Region {
		case plan.Input:
			s = ident(b.Name)
		case plan.Table:
			s = "t.tables." + p.g.tableNames.get(b, b.Name)
		case plan.Scratch:
			p.uses["b"] = true
			s = "b." + p.fields.get(b, b.Name)
		case plan.Saved:
			s = p.saved(o)
		}
	}
	// A member of a pack starts some columns into the first row; its kernels
	// get the distance of rows from ld.
	if o.Col > 0 {
		s += fmt.Sprintf("[%d:]", o.Col)
	}
	return s
}

// sliced is the operand's slice cut to n elements, where n is an expression.
//
// The buffer has room for the largest size; what is passed on has the live one,
// since kernels of elements take their length from the slice.
func (p *printer) sliced(o plan.Operand, n string) string {
	s := p.at(o)
	if o.Kind == plan.InBuffer && o.Buffer.Region != plan.Input && !p.fixed(o.Type) {
		return s + "[:" + n + "]"
	}
	return s
}

// A size is fixed if no dimension in it varies from run to run.
func (p *printer) fixed(t ir.Type) bool {
	for _, d := range p.g.in.Plan.Dims {
		for _, x := range t.Dims {
			if _, has := x.Div(ir.Sym(d.Name)); has && !d.Fixed {
				return false
			}
		}
	}
	return true
}

// dim is the Go expression of a size.
//
// Symbols print as B and T, constants of the generated package, or as the local
// variable that has the live number.
func (p *printer) dim(d ir.Dim) string {
	if d.IsConst() {
		return fmt.Sprint(d.N)
	}
	var parts []string
	// 4*n reads better than n*4, and the factor 1 not at all.
	if d.N != 1 {
		parts = append(parts, fmt.Sprint(d.N))
	}
	for _, s := range strings.Split(d.Sym, "*") {
		e, ok := p.live[s]
		if !ok {
			e = s
		}
		parts = append(parts, e)
	}
	return strings.Join(parts, "*")
}

// Elements of a tensor, all axes together.
func (p *printer) count(t ir.Type) string { return p.dim(t.Size()) }

// rows is the number of rows of a matrix whose rows have the given width.
func (p *printer) rows(o plan.Operand, width ir.Dim) string { return p.dim(o.Rows(width)) }

// ld is the distance of an operand's rows, which are width elements wide.
func (p *printer) ld(o plan.Operand, width ir.Dim) string { return p.dim(o.Distance(width)) }

func last(o plan.Operand) ir.Dim { return o.Type.Last() }

// float is a Go expression of the float32 nearest to x.
//
// Constants in Go are exact and converted when they are used, so most numbers
// print as they are. What a constant cannot say is spelt by a call.
func float(x float64) string {
	if x == 0 && math.Signbit(x) {
		return "float32(math.Copysign(0, -1))" // the constant -0 is 0
	}
	// A number beyond float32 is an error as a constant of Go; as float32 it is
	// infinite.
	if float32(x) != 0 && math.IsInf(float64(float32(x)), 0) {
		x = float64(float32(x))
	}
	s := fmt.Sprintf("%v", x)
	switch s {
	case "+Inf":
		return "float32(math.Inf(1))"
	case "-Inf":
		return "float32(math.Inf(-1))"
	case "NaN":
		return "float32(math.NaN())"
	}
	return s
}

// mode is the Go expression of what happens to a result.
//
// OverwriteFirst is decided at run time, by whether the micro-batch is the
// first of its step.
func (p *printer) mode(o plan.Operand) string {
	switch o.Mode {
	case plan.OverwriteFirst:
		p.uses["mode"] = true
		return "mode"
	case plan.Accumulate:
		return "cpu.Accumulate"
	}
	return "cpu.Overwrite"
}
