package codegen_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/llamac/llamac/codegen"
	"github.com/llamac/llamac/plan"
)

// listing is ARCHITECTURE's example of a target: a text with a line for each
// launch in the order in which they run, as a device graph would have its nodes.
type listing struct{}

func (listing) Name() string              { return "listing" }
func (listing) Doc() string               { return "One line a launch, layers written out." }
func (listing) Unsupported(string) string { return "" }

// Generate prints a file for each program.
func (listing) Generate(in codegen.Input) (files []codegen.File, err error) {
	for _, p := range in.Plan.Programs {
		e := &lister{}
		if err := codegen.Emit(p, e, true); err != nil {
			return nil, err
		}
		files = append(files, codegen.File{Name: p.Name + ".txt", Data: []byte(e.String())})
	}
	return files, nil
}

// lister is the target's Emitter: Emit calls it once for each item and layer.
type lister struct{ strings.Builder }

func (e *lister) line(at codegen.Place, what string) error {
	if at.Loop != nil {
		what = fmt.Sprintf("layer %d: %s", at.Layer, what)
	}
	_, err := fmt.Fprintln(e, what)
	return err
}

func (e *lister) Launch(l *plan.Launch, at codegen.Place) error { return e.line(at, l.Op+" "+l.Name) }
func (e *lister) Copy(c *plan.Copy, at codegen.Place) error     { return e.line(at, "copy "+c.Dst.Name) }
func (e *lister) Comm(c *plan.Comm, at codegen.Place) error     { return e.line(at, c.Op) }
func (e *lister) Loop(*plan.Loop) error                         { return nil }
func (e *lister) End(*plan.Loop) error                          { return nil }

var _ codegen.Target = listing{}

// TestExampleTarget lists a plan of two layers: the forward runs upwards, the
// backward downwards, and each launch of a loop stands there once a layer.
func TestExampleTarget(t *testing.T) {
	const name = "../generated/tiny_gqa/plan.txt"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Parse(name, text)
	if err != nil {
		t.Fatal(err)
	}
	files, err := listing{}.Generate(codegen.Input{Plan: p})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range files {
		got[f.Name] = string(f.Data)
	}
	order := func(file, pattern string) string {
		var list []string
		for _, m := range regexp.MustCompile(`(?m)^layer (\d): `+pattern).FindAllStringSubmatch(got[file], -1) {
			list = append(list, m[1])
		}
		return strings.Join(list, " ")
	}
	for _, c := range []struct{ file, pattern, want string }{
		{"micro_step.txt", "attention ", "0 1"},
		{"micro_step.txt", "attention_grad ", "1 0"},
		{"micro_step.txt", "rope attn.qr$", "0 1"},
		{"decode.txt", "attention_kv ", "0 1"},
	} {
		if o := order(c.file, c.pattern); o != c.want {
			t.Errorf("%s: %s runs for layers %s, want %s", c.file, c.pattern, o, c.want)
		}
	}
	if !strings.HasPrefix(got["micro_step.txt"], "gather ") || !strings.Contains(got["micro_step.txt"], "\nlinear_xent_grad ") {
		t.Errorf("micro_step.txt reads\n%s", got["micro_step.txt"])
	}
	launches := 0
	for _, program := range p.Programs {
		for _, it := range program.Items {
			launches++
			if l, ok := it.(*plan.Loop); ok {
				launches += (l.To-l.From)*len(l.Body) - 1
			}
		}
	}
	lines := 0
	for _, text := range got {
		lines += strings.Count(text, "\n")
	}
	if lines != launches {
		t.Errorf("%d lines for %d launches", lines, launches)
	}
}
