package inspect_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llamac/llamac/internal/compile"
	"github.com/llamac/llamac/internal/inspect"
	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/specs"
)

// shown are the specs whose pages the tests read: grouped heads, tied weights,
// blocks that the library lacks, and the largest.
var shown = []string{
	"tiny_gqa.jsonnet", "smollm-135m.jsonnet", "testdata/gelu.jsonnet", "testdata/parallel.jsonnet", "testdata/qknorm.jsonnet", "65b.jsonnet",
}

func load(t *testing.T, spec string, set ...string) *specs.Spec {
	t.Helper()
	s, err := specs.Load(filepath.Join("..", "..", "specs", spec), specs.Options{Set: set})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func html(t *testing.T, spec string, set ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := inspect.HTML(&b, load(t, spec, set...), inspect.Options{}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func save(t *testing.T, page []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(name, page, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// page is what the tests read of the page's data.
type page struct {
	Lines     []struct{ T string }
	Note      string
	Sources   []struct{ Name string }
	Pipelines []struct {
		Mode    string
		Columns []struct {
			Pass   string
			Same   bool
			Plan   bool
			Stats  []struct{ R string }
			Blocks []struct {
				Name string
				Rows [][3]int
			}
			Fates map[string][]string
		}
		Places   map[string][]struct{ P, B int }
		Programs []struct {
			Name    string
			Times   []struct{ T int }
			Buffers []struct {
				N, R string
				F, L int
				V    []string
			}
			Launches []struct {
				Op, N       string
				T, At, File int
			}
		}
	}
}

func data(t *testing.T, html []byte) (p page) {
	t.Helper()
	_, rest, ok := bytes.Cut(html, []byte(`<script type="application/json" id="data">`))
	raw, _, end := bytes.Cut(rest, []byte("</script>"))
	if !ok || !end {
		t.Fatal("the page has no data")
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPageHoldsAll compares each column with the graph that the compiler had
// there: every line of every function, and no other.
func TestPageHoldsAll(t *testing.T) {
	for _, spec := range shown {
		want := map[string][]string{} // mode and pass -> lines
		_, err := compile.Spec(load(t, spec), compile.Options{Targets: []string{}, Observe: func(mode string, r passes.Report) {
			var lines []string
			for _, f := range r.Unit.Module.Funcs {
				for _, n := range f.Nodes {
					lines = append(lines, n.String())
				}
			}
			want[mode+" "+r.Pass.Name] = lines
		}})
		if err != nil {
			t.Fatal(err)
		}
		p := data(t, html(t, spec))
		checked := 0
		for _, pipe := range p.Pipelines {
			blocks := pipe.Columns[0].Blocks
			for _, c := range pipe.Columns {
				if !c.Same {
					blocks = c.Blocks
				}
				if c.Pass == "spec" || c.Plan {
					continue
				}
				var got []string
				for _, b := range blocks {
					if !strings.HasPrefix(b.Name, "@") {
						continue
					}
					for _, r := range b.Rows {
						got = append(got, p.Lines[r[0]].T)
					}
				}
				if !slices.Equal(got, want[pipe.Mode+" "+c.Pass]) {
					t.Errorf("%s: %s after %s shows other lines than the graph has", spec, pipe.Mode, c.Pass)
				}
				checked++
			}
		}
		if checked < 20 {
			t.Errorf("%s: %d columns", spec, checked)
		}
	}
}

// TestPageIsSmallAndAlone holds the page's size, that it is the same each time
// and that it names nothing outside of itself.
func TestPageIsSmallAndAlone(t *testing.T) {
	for _, spec := range []string{"65b.jsonnet", "gopher.jsonnet"} {
		once := html(t, spec)
		if !bytes.Equal(once, html(t, spec)) {
			t.Errorf("%s: two pages of one spec differ", spec)
		}
		if len(once) > 3e6 {
			t.Errorf("%s: %d bytes", spec, len(once))
		}
		for _, outside := range []string{"://", "src=", "url(", "@import", "<link", "import("} {
			if bytes.Contains(once, []byte(outside)) {
				t.Errorf("%s: the page contains %q", spec, outside)
			}
		}
		if !bytes.Contains(once, []byte("default-src 'none'")) {
			t.Errorf("%s: no policy forbids the page to ask for more", spec)
		}
	}
}

// TestLaunchesAreFound holds that each launch has its time, within the lives of
// the buffers that it touches, and its call in the generated code.
func TestLaunchesAreFound(t *testing.T) {
	for _, spec := range shown {
		s := load(t, spec)
		r, err := compile.Spec(s, compile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p := data(t, html(t, spec))
		for _, pipe := range p.Pipelines {
			for _, d := range pipe.Programs {
				q := r.Plan.Program(d.Name)
				last := 0
				for _, b := range q.Buffers {
					last = max(last, b.Last)
				}
				if d.Name != "tables" && len(d.Times)-1 < last {
					t.Errorf("%s: %s has %d times and buffers that live until %d", spec, d.Name, len(d.Times), last)
				}
				touched := touches(q)
				for i, l := range d.Launches {
					if l.File < 0 || l.T < 0 && d.Name != "tables" {
						t.Errorf("%s: %s: launch %s %s has line %d of the graph, file %d", spec, d.Name, l.N, l.Op, l.T, l.File)
					}
					if d.Name == "tables" {
						continue
					}
					for _, b := range touched[i] {
						if l.At < b.First || l.At > b.Last {
							t.Errorf("%s: %s: launch %s at time %d touches %%%s, which lives from %d to %d", spec, d.Name, l.N, l.At, b.Name, b.First, b.Last)
						}
					}
				}
			}
		}
	}
}

// TestValuesHavePlaces holds that each value of the final graph lies
// somewhere, constants aside.
func TestValuesHavePlaces(t *testing.T) {
	for _, spec := range shown {
		r, err := compile.Spec(load(t, spec), compile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p := data(t, html(t, spec))
		for i, m := range []*ir.Module{r.Train, r.Infer} {
			for _, f := range m.Funcs {
				group := "l"
				if f.Role == ir.RoleMain {
					group = "m"
				}
				uses := f.Uses()
				for _, n := range f.Nodes {
					for _, v := range n.Results {
						unread := len(uses[v]) == 0 && !f.IsResult(v)
						if unread || constant(v) {
							continue
						}
						if len(p.Pipelines[i].Places[group+v.String()]) == 0 {
							t.Errorf("%s: %s: %s of @%s lies nowhere", spec, p.Pipelines[i].Mode, v, f.Name)
						}
					}
				}
			}
		}
	}
}

// TestFates follows values that fusions take away: what they went into is in
// the column that follows.
func TestFates(t *testing.T) {
	for _, spec := range shown {
		p := data(t, html(t, spec))
		for _, pipe := range p.Pipelines {
			for _, c := range pipe.Columns {
				there := map[string]bool{}
				for _, b := range c.Blocks {
					for _, r := range b.Rows {
						def, _, _ := strings.Cut(p.Lines[r[0]].T, " = ")
						for _, d := range strings.Split(def, ", ") {
							there[d] = true
						}
					}
				}
				for v, into := range c.Fates {
					for _, x := range into {
						if !there[x[strings.IndexAny(x, "%$!"):]] && x[1] == '%' {
							t.Errorf("%s: %s: %s went into %s, which nobody defines", spec, c.Pass, v, x)
						}
					}
				}
			}
		}
	}
	p := data(t, html(t, "tiny_gqa.jsonnet"))
	for _, want := range []struct{ pass, value, into string }{
		{"canonicalize", "l%attn.n.eps", "l%attn.n.mse"},
		{"fuse_rmsnorm", "m%n.sq", "m%n"},
		{"fuse_rope", "l%attn.qr.pairs", "l%attn.qr"},
		{"fuse_attention", "l%attn.p", "l%attn.o.rows"},
		{"fuse_swiglu", "l%ffn.a", "l%ffn.m"},
		{"fuse_linear_xent", "m%logits", "m%loss"},
	} {
		for _, c := range p.Pipelines[0].Columns {
			if got := c.Fates[want.value]; c.Pass == want.pass && (len(got) != 1 || got[0] != want.into) {
				t.Errorf("%s takes %s into %v, want %s", want.pass, want.value, got, want.into)
			}
		}
	}
}

// TestRefusedSpec shows what there is of a spec that the target refuses.
func TestRefusedSpec(t *testing.T) {
	p := data(t, html(t, "tiny_gqa.jsonnet", `precision.compute="bf16"`))
	if !strings.Contains(p.Note, "bf16") || len(p.Sources) != 0 || len(p.Pipelines) != 2 {
		t.Errorf("note %q, %d files, %d pipelines", p.Note, len(p.Sources), len(p.Pipelines))
	}
}

// TestPassesCanBeLeftOut looks at a compilation without a fusion.
func TestPassesCanBeLeftOut(t *testing.T) {
	var b bytes.Buffer
	if err := inspect.HTML(&b, load(t, "tiny_gqa.jsonnet"), inspect.Options{Disable: []string{"fuse_qkv"}}); err != nil {
		t.Fatal(err)
	}
	for _, pipe := range data(t, b.Bytes()).Pipelines {
		for _, c := range pipe.Columns {
			if c.Pass == "fuse_qkv" {
				t.Errorf("%s: fuse_qkv has run", pipe.Mode)
			}
		}
	}
}

// TestText prints passes as differences.
func TestText(t *testing.T) {
	var b bytes.Buffer
	if err := inspect.Text(&b, load(t, "tiny_gqa.jsonnet"), inspect.Options{Mode: "train"}); err != nil {
		t.Fatal(err)
	}
	want := "== fuse_swiglu: Finds silu(g) · u and makes it one swiglu.\n   swiglu 1\n  func @layer layer\n" +
		"- %ffn.a = silu(%ffn.g) : f32[B, T, 48]\n- %ffn.m = mul(%ffn.a, %ffn.u) : f32[B, T, 48]\n+ %ffn.m = swiglu(%ffn.g, %ffn.u) : f32[B, T, 48]\n"
	got := strings.ReplaceAll(b.String(), "-   %", "- %")
	got = strings.ReplaceAll(got, "+   %", "+ %")
	if !strings.Contains(got, want) {
		t.Errorf("the text lacks\n%s", want)
	}
	if !strings.HasPrefix(b.String(), "== canonicalize: ") || !strings.Contains(b.String(), "program micro_step in act.train") {
		t.Error("the text does not begin with the first graph or has no plan")
	}
}
