package fuzz

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/txtar"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/passes"
)

// Case is one model with what is needed to compile and run it.
// It does not hold how it was drawn: a case that is written down stays what it is when
// the generators change.
type Case struct {
	Train    *ir.Module       // has @loss(%tokens, %targets), in primitive ops
	Infer    *ir.Module       // has @logits(%tokens), or nil
	B, T     int              // a micro-batch: sequences and tokens of each
	Vocab    int              // ids below it
	Disable  []string         // passes left out
	Seed     uint64           // of weights, tokens and the orders of nodes
	Extra    bool             // also what is only checked now and then
	Compute  string           // dtype to compute in, of which only graphs are compared; empty for f32
	Capacity map[string]int64 // of the decoder: N, R, S, M, block

	numbers uint64 // other weights and tokens for the same seed, at the same stations
}

// masked reports that training reads where documents start.
// The third parameter is build.Starts.
func (c *Case) masked() bool {
	f := c.Train.Func("loss")
	return f != nil && len(f.Params) == 3
}

// Format is the case as a text that ParseCase reads: a txtar archive with the
// comment in front.
// Such a file is
//
//	Random graph 17: what failed
//	-- case --
//	B 2
//	T 3
//	vocab 5
//	seed 4711
//	extra false
//	disable fuse_qkv
//	-- train.ir --
//	module random
//	...
func (c *Case) Format(comment string) []byte {
	var s strings.Builder
	fmt.Fprintf(&s, "B %d\nT %d\nvocab %d\nseed %d\nextra %v\n", c.B, c.T, c.Vocab, c.Seed, c.Extra)
	if c.Compute != "" {
		fmt.Fprintf(&s, "compute %s\n", c.Compute)
	}
	for _, p := range c.Disable {
		fmt.Fprintf(&s, "disable %s\n", p)
	}
	// A list and not the map's keys, whose order is random.
	for _, name := range []string{"N", "R", "S", "M", "block"} {
		if n := c.Capacity[name]; n > 0 {
			fmt.Fprintf(&s, "%s %d\n", name, n)
		}
	}
	a := &txtar.Archive{Comment: []byte(strings.TrimRight(comment, "\n") + "\n")}
	a.Files = append(a.Files, txtar.File{Name: "case", Data: []byte(s.String())}, txtar.File{Name: "train.ir", Data: []byte(c.Train.String())})
	if c.Infer != nil {
		a.Files = append(a.Files, txtar.File{Name: "infer.ir", Data: []byte(c.Infer.String())})
	}
	return txtar.Format(a)
}

// LoadCase reads a file that holds what Format writes.
func LoadCase(file string) (*Case, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return ParseCase(file, text)
}

// ParseCase reads what Format writes.
// Other files in the archive are ignored. Modules are verified, since a case may have
// been edited.
func ParseCase(file string, text []byte) (*Case, error) {
	c := &Case{Capacity: map[string]int64{}}
	for _, f := range txtar.Parse(text).Files {
		var err error
		switch f.Name {
		case "train.ir":
			c.Train, err = parseModule(file+":"+f.Name, f.Data)
		case "infer.ir":
			c.Infer, err = parseModule(file+":"+f.Name, f.Data)
		case "case":
			err = c.fields(file+":"+f.Name, string(f.Data))
		}
		if err != nil {
			return nil, err
		}
	}
	// Infer may be missing: random graphs have none.
	if c.Train == nil {
		return nil, fmt.Errorf("%s: no train.ir", file)
	}
	if err := c.fits(); err != nil {
		return nil, fmt.Errorf("%s:case: %w", file, err)
	}
	return c, nil
}

// fits checks sizes against the module: a file may have been edited.
func (c *Case) fits() error {
	if c.Vocab < 1 {
		return fmt.Errorf("vocab is %d", c.Vocab)
	}
	for name, n := range map[string]int{"B": c.B, "T": c.T} {
		i := slices.IndexFunc(c.Train.Dims, func(d ir.DimDecl) bool { return d.Name == name })
		if i < 0 {
			if n < 1 || n > 1<<12 {
				return fmt.Errorf("%s is %d", name, n)
			}
			continue
		}
		if d := c.Train.Dims[i]; int64(n) < d.Min || int64(n) > d.Max {
			return fmt.Errorf("%s is %d, the module has it in [%d, %d]", name, n, d.Min, d.Max)
		}
	}
	const most = 1 << 16 // tokens of a micro-batch, which the interpreter runs through
	if c.B*c.T > most {
		return fmt.Errorf("a micro-batch of %d sequences of %d tokens, together more than %d", c.B, c.T, most)
	}
	// Tokens choose rows of what they are looked up in, targets columns of logits.
	for _, f := range c.Train.Funcs {
		for _, n := range f.Nodes {
			rows := int64(-1)
			switch n.Op.Name {
			case "gather":
				rows = n.Operands[0].Type.Dims[0].N
			case "cross_entropy":
				dims := n.Operands[0].Type.Dims
				rows = dims[len(dims)-1].N
			}
			if rows > 0 && int64(c.Vocab) > rows {
				return fmt.Errorf("vocab is %d, %%%s takes ids below %d", c.Vocab, n.Results[0].Name, rows)
			}
		}
	}
	return nil
}

func parseModule(name string, text []byte) (*ir.Module, error) {
	m, err := ir.Parse(name, text)
	if err == nil {
		err = ir.Verify(m)
	}
	return m, err
}

// fields reads the file "case", a word and its value on each line. Nothing is
// passed over: a word that was misspelt would change what is checked.
func (c *Case) fields(file, text string) error {
	number := 0
	for line := range strings.Lines(text) {
		number++
		if err := c.field(strings.TrimSpace(line)); err != nil {
			return fmt.Errorf("%s:%d: %w", file, number, err)
		}
	}
	return nil
}

// field reads one line.
func (c *Case) field(line string) error {
	key, value, _ := strings.Cut(line, " ")
	whole := func(most int64) (int64, error) {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < 1 || n > most {
			return 0, fmt.Errorf("%s %q: want a number from 1 to %d", key, value, most)
		}
		return n, nil
	}
	// No case is as large as what a line may ask for; sizes are held to the
	// module's afterwards.
	const large = 1 << 20
	var n int64
	var err error
	switch key {
	case "disable":
		if !slices.Contains(passes.Names(), value) {
			return fmt.Errorf("disable %q: no such pass", value)
		}
		c.Disable = append(c.Disable, value)
	case "compute":
		if value != "bf16" && value != "f16" {
			return fmt.Errorf("compute %q: bf16 or f16", value)
		}
		c.Compute = value
	case "extra":
		if value != "true" && value != "false" {
			return fmt.Errorf("extra %q: true or false", value)
		}
		c.Extra = value == "true"
	case "seed":
		if c.Seed, err = strconv.ParseUint(value, 10, 64); err != nil {
			return fmt.Errorf("seed %q: want a number", value)
		}
	case "B":
		n, err = whole(large)
		c.B = int(n)
	case "T":
		n, err = whole(large)
		c.T = int(n)
	case "vocab":
		n, err = whole(large)
		c.Vocab = int(n)
	case "N", "R", "S", "M", "block":
		c.Capacity[key], err = whole(large)
	default:
		return fmt.Errorf("unknown word %q", key)
	}
	return err
}
