package weights

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/llamac/llamac/runtime/model"
)

// square is a model in which as many weights as can be have the embedding's shape.
func square(tied bool) model.Info { return llama(16, 1, 2, 2, 16, 16, 8, tied, "half") }

// pick gives the tensor of a name, and without the rest.
func pick(ts []named, name string) (named, []named) {
	i := slices.IndexFunc(ts, func(x named) bool { return x.name == name })
	return ts[i], slices.Delete(slices.Clone(ts), i, i+1)
}

const (
	hfEmbed, hfHead = "model.embed_tokens.weight", "lm_head.weight"
	said, denied    = `{"tie_word_embeddings": true}`, `{"tie_word_embeddings": false}`
)

// TestTies loads each form in which files have an embedding and an output
// projection, or one for both, into a tied and an untied model.
func TestTies(t *testing.T) {
	alias := func(name, other string) map[string]string { return map[string]string{"format": "pt", name: other} }
	for _, c := range []struct {
		name            string
		embed, head     bool // what the file has; both are different
		equal           bool // unless they are equal
		config          string
		metadata        map[string]string
		tied, untied    string // what the error says, or "" where it loads
		fromE, fromHead string // what the untied model's two weights are read from
	}{
		{name: "two", embed: true, head: true, tied: `"model.embed_tokens.weight" and "lm_head.weight" differ`},
		{name: "two, denied", embed: true, head: true, config: denied, tied: "differ"},
		{name: "two, said to be one", embed: true, head: true, config: said, tied: "differ", untied: "tie_word_embeddings true"},
		{name: "two equal", embed: true, head: true, equal: true},
		{name: "two equal, said", embed: true, head: true, equal: true, config: said},
		{name: "two equal, denied", embed: true, head: true, equal: true, config: denied},
		{name: "embedding", embed: true, untied: `no tensor "lm_head.weight" for weight output: nothing says that "model.embed_tokens.weight" stands for it`},
		{name: "embedding, said", embed: true, config: said, fromHead: hfEmbed},
		{name: "embedding, denied", embed: true, config: denied, tied: "the output projection is not in the file", untied: `no tensor "lm_head.weight" for weight output`},
		{name: "embedding, alias", embed: true, metadata: alias(hfHead, hfEmbed), fromHead: hfEmbed},
		{name: "embedding, alias of nothing", embed: true, metadata: alias(hfHead, "x"), untied: `no tensor "lm_head.weight"`},
		{name: "embedding, alias of itself", embed: true, metadata: alias(hfHead, hfHead), untied: `no tensor "lm_head.weight"`},
		{name: "head", head: true, untied: `no tensor "model.embed_tokens.weight" for weight embed: nothing says that "lm_head.weight" stands for it`},
		{name: "head, said", head: true, config: said, fromE: hfHead},
		{name: "head, denied", head: true, config: denied, tied: `no tensor "model.embed_tokens.weight"`, untied: `no tensor "model.embed_tokens.weight"`},
		{name: "head, alias", head: true, metadata: alias(hfEmbed, hfHead), fromE: hfHead},
		{name: "neither", tied: `no tensor "model.embed_tokens.weight"`, untied: `no tensor "model.embed_tokens.weight"`},
		{name: "neither, said", config: said, tied: `no tensor "model.embed_tokens.weight"`, untied: `no tensor "lm_head.weight"`},
	} {
		r := rand.New(rand.NewPCG(31, 31))
		ts := modelTensors(r, square(false), hf, F32)
		e, rest := pick(ts, hfEmbed)
		h, rest := pick(rest, hfHead)
		if c.equal {
			h.data = e.data
		}
		at := map[string]named{hfEmbed: e, hfHead: h}
		if c.embed {
			rest = append(rest, e)
		}
		if c.head {
			rest = append(rest, h)
		}
		files := map[string]map[string][]byte{"safetensors": {oneFile: safetensorsFile(c.metadata, rest)}, "PyTorch": {torchOne: torchBytes(t, rest)}}
		// With the two ends in different files.
		split := indexed(r, rest, 3)
		files["index"] = map[string][]byte{}
		for i, name := range []string{hfEmbed, hfHead} {
			if from := split.index[name]; from != "" {
				x, less := pick(split.shards[from], name)
				split.shards[from] = less
				to := shardFile(i, 3)
				split.index[name] = to
				split.shards[to] = append(split.shards[to], x)
			}
		}
		for i := range 3 {
			files["index"][shardFile(i, 3)] = safetensorsFile(nil, split.shards[shardFile(i, 3)])
		}
		// The alias is noted in a file that has neither.
		files["index"][shardFile(2, 3)] = safetensorsFile(c.metadata, split.shards[shardFile(2, 3)])
		if len(c.metadata) > 0 {
			// As some writers have it, the alias is listed as well.
			for name := range c.metadata {
				if name != "format" && c.untied == "" {
					split.index[name] = shardFile(2, 3)
				}
			}
		}
		files["index"][indexFile] = indexJSON(split.index)
		for form, names := range files {
			if form == "PyTorch" && c.metadata != nil {
				continue // which has no such notes
			}
			if c.config != "" {
				names[configFile] = []byte(c.config)
			}
			dir := writeAll(t, names)
			for _, tied := range []bool{true, false} {
				info := square(tied)
				a := arena(info)
				want := c.untied
				if tied {
					want = c.tied
				}
				err := Load(info, dir, a)
				if want != "" {
					if wantError(t, err, want); t.Failed() {
						t.Fatalf("%s, %s, tied %v", c.name, form, tied)
					}
					untouched(t, c.name, a)
					continue
				}
				if err != nil {
					t.Fatalf("%s, %s, tied %v: %v", c.name, form, tied, err)
				}
				checkGaps(t, info, a)
				for _, w := range info.Weights {
					x := at[w.HF]
					switch {
					case w.Name == "embed" && (c.fromE != "" || tied && !c.embed):
						x = at[hfHead]
					case w.Name == "output" && c.fromHead != "":
						x = at[c.fromHead]
					case w.Name != "embed" && w.Name != "output":
						x, _ = pick(ts, w.HF)
					}
					if !slices.Equal(a[w.Offset:w.Offset+w.Len()], x.data) {
						t.Errorf("%s, %s, tied %v: %s is not %s", c.name, form, tied, w.Name, x.name)
					}
				}
			}
		}
	}
}

// TestTiesOfFormats: formats that say by what they hold whether the output is tied.
func TestTiesOfFormats(t *testing.T) {
	r := rand.New(rand.NewPCG(32, 32))
	for _, c := range []struct {
		n           naming
		embed, head string
		write       func(ts []named) string
	}{
		{ggufNaming("half"), "token_embd.weight", "output.weight", func(ts []named) string { return write(t, ggufBytes(t, architecture("qwen2"), ts)) }},
		{meta, "tok_embeddings.weight", "output.weight", func(ts []named) string { return write(t, torchBytes(t, ts)) }},
		{meta, "tok_embeddings.weight", "output.weight", func(ts []named) string { return writeAll(t, partFiles(t, ts, 2, 1)) }},
		{meta, "tok_embeddings.weight", "output.weight", func(ts []named) string { return writeAll(t, partFiles(t, ts, 4, 0)) }},
	} {
		info := square(false)
		ts := modelTensors(r, info, c.n, F32)
		// Two different ones.
		checkLoaded(t, info, c.n, ts, loaded(t, info, c.write(ts)))
		wantError(t, Load(square(true), c.write(ts), arena(square(true))), "differ", c.embed, c.head)
		// Two equal ones.
		e, _ := pick(ts, c.embed)
		i := slices.IndexFunc(ts, func(x named) bool { return x.name == c.head })
		ts[i].data = e.data
		checkLoaded(t, info, c.n, ts, loaded(t, info, c.write(ts)))
		checkLoaded(t, square(true), c.n, ts, loaded(t, square(true), c.write(ts)))
		// One: GGUF has this for a tied model, and Meta's files say nothing.
		_, one := pick(ts, c.head)
		checkLoaded(t, square(true), c.n, one, loaded(t, square(true), c.write(one)))
		if c.n.label == "GGUF" {
			checkLoaded(t, info, c.n, ts, loaded(t, info, c.write(one)))
		} else {
			wantError(t, Load(info, c.write(one), arena(info)), `no tensor "output.weight" for weight output: nothing says`)
		}
	}
	// llamac's own checkpoints have all weights of their model.
	from, to := square(true), square(false)
	p := randomArena(r, from)
	path := writeCheckpoint(t, from, Checkpoint{SpecHash: from.SpecHash}, p, p, p)
	a := loaded(t, to, path)
	e, o := to.Weights[0], to.Weights[len(to.Weights)-1]
	if !slices.Equal(a[o.Offset:o.Offset+o.Len()], a[e.Offset:e.Offset+e.Len()]) || a[e.Offset] != p[from.Weights[0].Offset] {
		t.Error("the output projection is not the embedding of the checkpoint")
	}
	p = randomArena(r, to)
	wantError(t, Load(from, writeCheckpoint(t, to, Checkpoint{SpecHash: to.SpecHash}, p, p, p), arena(from)), `tensor "output" [16 16] has no place`)
}

// TestNothingByShape: what is missing is missing, whatever else has its shape.
func TestNothingByShape(t *testing.T) {
	r := rand.New(rand.NewPCG(33, 33))
	for _, tied := range []bool{true, false} {
		info := square(tied)
		ts := modelTensors(r, info, hf, F32)
		for _, x := range ts {
			_, less := pick(ts, x.name)
			a := arena(info)
			err := Load(info, writeAll(t, map[string][]byte{oneFile: safetensorsFile(nil, less), configFile: []byte(fmt.Sprintf(`{"tie_word_embeddings": %v}`, tied))}), a)
			wantError(t, err, fmt.Sprintf("no tensor %q for weight", x.name))
			untouched(t, x.name, a)
		}
		// A copy of the embedding under a name that nobody knows.
		e, _ := pick(ts, hfEmbed)
		wantError(t, Load(info, write(t, safetensorsFile(nil, append(slices.Clone(ts), named{"proj.weight", F32, e.shape, e.data}))), arena(info)), `"proj.weight" [16 16] has no place`)
	}
}

// TestSharedStorage reads a PyTorch file in which two names have one storage.
func TestSharedStorage(t *testing.T) {
	info := square(true)
	ts := modelTensors(rand.New(rand.NewPCG(34, 34)), info, hf, F32)
	var p pickler
	p.op("\x80\x02").global("collections", "OrderedDict").op(")R(")
	for i, x := range ts {
		p.str(x.name).tensor("FloatStorage", fmt.Sprint(i), len(x.data), 0, x.shape, strides(x.shape))
		if x.name == hfEmbed {
			p.str(hfHead).tensor("FloatStorage", fmt.Sprint(i), len(x.data), 0, x.shape, strides(x.shape))
		}
	}
	b := archive(t, 0, append([]string{"model/data.pkl", p.op("u.").String()}, storages(ts)...)...)
	checkLoaded(t, info, hf, ts, loaded(t, info, write(t, b)))
	untied := square(false)
	e, _ := pick(ts, hfEmbed)
	both := append(slices.Clone(ts), named{hfHead, F32, e.shape, e.data})
	checkLoaded(t, untied, hf, both, loaded(t, untied, write(t, b)))
	if !strings.HasPrefix(string(b), "PK") {
		t.Error("no archive")
	}
}
