package fuzz

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/tools/txtar"

	"github.com/llamac/llamac/ir"
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
			err = c.fields(string(f.Data))
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	// Infer may be missing: random graphs have none.
	if c.Train == nil {
		return nil, fmt.Errorf("%s: no train.ir", file)
	}
	return c, nil
}

func parseModule(name string, text []byte) (*ir.Module, error) {
	m, err := ir.Parse(name, text)
	if err == nil {
		err = ir.Verify(m)
	}
	return m, err
}

// fields reads the file "case", a word and its value on each line.
func (c *Case) fields(text string) error {
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			return fmt.Errorf("case: line %q", line)
		}
		if key == "disable" {
			c.Disable = append(c.Disable, value)
			continue
		}
		if key == "compute" {
			if value != "bf16" && value != "f16" {
				return fmt.Errorf("case: compute %q: bf16 or f16", value)
			}
			c.Compute = value
			continue
		}
		if key == "extra" {
			c.Extra = value == "true"
			continue
		}
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return fmt.Errorf("case: %s: %w", key, err)
		}
		switch key {
		case "B":
			c.B = int(n)
		case "T":
			c.T = int(n)
		case "vocab":
			c.Vocab = int(n)
		case "seed":
			c.Seed = n
		// What remains is a capacity, by its name.
		default:
			c.Capacity[key] = int64(n)
		}
	}
	return nil
}
