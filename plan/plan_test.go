package plan_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llamac/llamac/plan"
)

// TestRoundTrip parses the plans of generated/ and prints them again.
func TestRoundTrip(t *testing.T) {
	files, err := filepath.Glob("../generated/*/plan.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no plans: %v", err)
	}
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan.Parse(f, src)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.String(); got != string(src) {
			t.Errorf("%s changes when parsed and printed: %s", f, firstDifference(got, string(src)))
		}
		if err := p.Verify(); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return "\n\t" + x[i] + "\n\t" + y[i]
		}
	}
	return "one is longer"
}

// loadPlan parses the plan of a twin.
func loadPlan(t *testing.T, twin string) *plan.Plan {
	t.Helper()
	src, err := os.ReadFile("../generated/" + twin + "/plan.txt")
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Parse("plan.txt", src)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fault is something wrong that is planted in a sound plan, and what Verify has
// to say of it.
type fault struct {
	name string
	do   func(*plan.Plan)
	want string // "": nothing is wrong
}

// plant plants each fault in a plan of its own.
func plant(t *testing.T, twin string, faults []fault) {
	t.Helper()
	for _, c := range faults {
		p := loadPlan(t, twin)
		c.do(p)
		err := p.Verify()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// buffer finds a buffer of the training step.
func buffer(p *plan.Plan, name string) *plan.Buffer {
	for _, b := range p.Program("micro_step").Buffers {
		if b.Name == name {
			return b
		}
	}
	panic("no buffer " + name)
}

// TestVerify plants faults in a sound plan: each must be found.
func TestVerify(t *testing.T) {
	plant(t, "tiny_gqa", []fault{
		{"nothing", func(*plan.Plan) {}, ""},
		{"two buffers that live together overlap", func(p *plan.Plan) { buffer(p, "ffn.n").Offset = buffer(p, "attn.out").Offset }, "overlap"},
		{"lives that are written down too short", func(p *plan.Plan) {
			a, b := buffer(p, "attn.out"), buffer(p, "ffn.n")
			a.Last, b.First, b.Offset = a.First, b.Last, a.Offset
		}, "overlap"},
		{"what one layer hands to the next is overwritten", func(p *plan.Plan) { buffer(p, "d.ffn.gu").Offset = buffer(p, "d.h").Offset }, "overlap"},
		{"scratch among what is stored", func(p *plan.Plan) { buffer(p, "ffn.n").Offset = 0 }, "lies among stored activations"},
		{"a buffer outside of its arena", func(p *plan.Plan) { buffer(p, "ffn.n").Offset = 1 << 40 }, "does not fit its arena"},
		{"a stored buffer leaves its block", func(p *plan.Plan) { b := buffer(p, "ffn.gu"); b.Offset = b.Stride - 64 }, "leaves its block"},
		{"weights overlap", func(p *plan.Plan) { p.FindWeight("attention.wo").Offset -= 16 }, "overlap"},
		{"a pack with a gap", func(p *plan.Plan) { p.FindWeight("attention.wk").Offset += 16 }, "pack does not go on"},
		{"a read before the first write", func(p *plan.Plan) { q := p.Program("micro_step"); q.Items = q.Items[1:] }, "before it is written"},
		{"an operand larger than its buffer", func(p *plan.Plan) { buffer(p, "attn.n").Bytes /= 2 }, "does not fit buffer"},
		{"a write to an input", func(p *plan.Plan) {
			q := p.Program("eval")
			l := q.Items[0].(*plan.Launch)
			l.Results[0].Buffer = q.Inputs[0]
		}, "writes the input"},
	})
}

// TestVerifyBlocks plants faults in a plan whose layers store different things.
func TestVerifyBlocks(t *testing.T) {
	plant(t, "tiny_gqa_auto", []fault{
		{"nothing", func(*plan.Plan) {}, ""},
		{"the upper layer's scratch where the lower may have its own", func(p *plan.Plan) { buffer(p, "d.ffn.gu.2").Offset = buffer(p, "d.ffn.gu").Offset }, "lies among stored activations"},
		{"scratch over the input that the upper layer will read", func(p *plan.Plan) { b := buffer(p, "ffn.m"); b.Offset = buffer(p, "h.2").At(1) }, "lies among stored activations"},
		{"scratch over the layers' result", func(p *plan.Plan) { buffer(p, "d.n").Offset = buffer(p, "h.2").At(2) }, "lies among stored activations"},
		{"what is handed from layer to layer over the scratch of one", func(p *plan.Plan) { buffer(p, "d.h").Offset = buffer(p, "d.ffn.gu").Offset + 1<<16 }, "overlap"},
		{"a block moved up", func(p *plan.Plan) {
			for _, b := range p.Program("micro_step").Buffers {
				if b.From == 1 {
					b.Offset += 64
				}
			}
		}, "the block of layer 1 lies at"},
		{"a layer without a block", func(p *plan.Plan) {
			for _, b := range p.Program("micro_step").Buffers {
				if b.To == 1 {
					b.Region, b.From, b.To, b.Stride = plan.Scratch, 0, 0, 0
				}
			}
		}, "the block of layer 1 lies at"},
		{"a stored buffer of another stride", func(p *plan.Plan) { buffer(p, "r.2").Stride += 64 }, "leaves its block"},
		{"two stored buffers over each other", func(p *plan.Plan) { buffer(p, "r.2").Offset = buffer(p, "ffn.gu.2").Offset + 64 }, "overlap"},
	})
}

// TestParseErrors holds the messages of a broken plan.
func TestParseErrors(t *testing.T) {
	const src = `plan p
dim B = x
weight $w: f32[B] at 0
program q in act saved 0 a layer 0 in all scratch 0 {
  launch y nosuch(%a: f32[1])
}
`
	_, err := plan.Parse("p.txt", []byte(src))
	want := `p.txt:2:9: found "x", want a number
p.txt:3:12: a weight's shape is made of numbers, found B
p.txt:5:12: no op named "nosuch"`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %v", err, want)
	}
}
