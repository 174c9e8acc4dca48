package specs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/llamac/llamac/specs/internal/eval"
)

// evaluate gives the JSON value of a Jsonnet object.
func evaluate(t *testing.T, code string, v any) {
	t.Helper()
	fsys := fstest.MapFS{"x.jsonnet": {Data: []byte(code)}}
	res, err := eval.Run("x.jsonnet", nil, files{fsys}.read, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range res.Failures {
		t.Fatalf("%s: %v", f.Path, &f.Err)
	}
	if err := json.Unmarshal(res.Doc, v); err != nil {
		t.Fatal(err)
	}
}

// sample is a value of each field as it stands in the document.
var sample = map[string]any{
	"weight": "w.a", "bias": "w.b", "out": 12.0, "value": 3.0, "heads": 2.0,
	"layers": 5.0, "std": 0.25, "shard": "row", "body": []any{map[string]any{"kind": "silu", "name": "b", "inputs": []any{"x"}}},
}

// Every kind has a constructor that makes a node with the kind's fields, and
// there is no constructor beside them.
func TestConstructors(t *testing.T) {
	var calls []string
	call := func(k *Kind, fields []string) {
		args := []string{"name='y'"}
		for i, in := range k.Inputs {
			args = append(args, fmt.Sprintf("%s='in%d'", in, i))
		}
		for _, f := range fields {
			v, _ := json.Marshal(sample[f])
			args = append(args, f+"="+string(v))
		}
		calls = append(calls, fmt.Sprintf("node.%s(%s)", k.Name, strings.Join(args, ", ")))
	}
	for i := range Kinds {
		call(&Kinds[i], Kinds[i].Required)
		call(&Kinds[i], slices.Concat(Kinds[i].Required, Kinds[i].Optional))
	}
	var got struct {
		Names []string
		Nodes []map[string]any
	}
	evaluate(t, "local node = import 'llamac/node.libsonnet'; { Names: std.objectFieldsAll(node), Nodes: ["+strings.Join(calls, ",\n")+"] }", &got)

	names := kindNames()
	slices.Sort(names)
	if diff := cmp.Diff(names, got.Names); diff != "" {
		t.Errorf("constructors of node.libsonnet, -kinds +constructors:\n%s", diff)
	}
	for i := range Kinds {
		k := &Kinds[i]
		if KindOf(k.Name) != k {
			t.Errorf("KindOf(%q) is another row", k.Name)
		}
		if k.Doc == "" || len(k.Inputs) == 0 {
			t.Errorf("%s: a row without a doc or an input", k.Name)
		}
		for j, fields := range [][]string{k.Required, slices.Concat(k.Required, k.Optional)} {
			want := map[string]any{"kind": k.Name, "name": "y"}
			var ins []any
			for n := range k.Inputs {
				ins = append(ins, fmt.Sprintf("in%d", n))
			}
			want["inputs"] = ins
			for _, f := range fields {
				want[f] = sample[f]
			}
			if diff := cmp.Diff(want, got.Nodes[2*i+j]); diff != "" {
				t.Errorf("%s: -want +got:\n%s", calls[2*i+j], diff)
			}
		}
	}
}

// Every kind with all its fields passes the decoder and arrives in the fields
// of Node.
func TestDecodeKinds(t *testing.T) {
	for _, k := range Kinds {
		if k.Name == "repeat" {
			continue // TestShipped has it
		}
		doc := map[string]any{"kind": k.Name, "name": "y"}
		var ins []any
		for range k.Inputs {
			ins = append(ins, "x")
		}
		doc["inputs"] = ins
		for _, f := range slices.Concat(k.Required, k.Optional) {
			doc[f] = sample[f]
		}
		d := &decoder{at: newLocator("x", nil), bad: map[string]bool{}, partial: map[string]bool{}}
		l := nodeList{d: d, given: "x"}
		got := l.decode([]any{doc}, "model.block")
		if err := d.errs.Err(); err != nil {
			t.Errorf("%s: %v", k.Name, err)
			continue
		}
		want := Node{Kind: k.Name, Name: "y", Path: "model.block[0]"}
		for range k.Inputs {
			want.Inputs = append(want.Inputs, "x")
		}
		for _, f := range slices.Concat(k.Required, k.Optional) {
			switch f {
			case "weight":
				want.Weight = "w.a"
			case "bias":
				want.Bias = "w.b"
			case "out":
				want.Out = 12
			case "value":
				want.Value = 3
			case "heads":
				want.Heads = 2
			case "std":
				want.Std = 0.25
			case "shard":
				want.Shard = "row"
			default:
				t.Errorf("%s: field %s has no place in Node", k.Name, f)
			}
		}
		if diff := cmp.Diff([]Node{want}, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", k.Name, diff)
		}
	}
}
