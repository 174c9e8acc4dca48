package weights

import (
	"fmt"
	"slices"

	"github.com/llamac/llamac/runtime/model"
)

// saysTied is what a file says of its embedding and output projection: that they
// are one, or two, and where it says so. where is empty if it says nothing.
func saysTied(f File, n naming, info *model.Info, has func(string) bool) (tied bool, where string) {
	c := f.Config()
	switch f.Format() {
	// Both leave the projection out when it is the embedding, and have no other
	// word for it.
	case "llama2.c", "GGUF":
		tied, _ = c["tie"].(bool)
		return tied, "without an output projection, " + f.Format() + " files tie it to the embedding"
	// A checkpoint has all weights of its model, as its checksum shows.
	case "llamac checkpoint":
		return !has(info.Output), "the checkpoint is that of a tied model"
	}
	if tied, ok := c["tie_word_embeddings"].(bool); ok {
		return tied, fmt.Sprintf("the file's configuration has tie_word_embeddings %v", tied)
	}
	return false, ""
}

// ends assigns tensors to the embedding and the output projection, and gives their
// indices in info.Weights. Which weights these are the model says, and which tensors
// the names: other tensors may have the same shape.
func (c *catalogue) ends(info *model.Info, p *assignment, missing *[]string) []int {
	index := func(name string) int {
		return slices.IndexFunc(info.Weights, func(w model.Weight) bool { return name != "" && w.Name == name })
	}
	e, o := index(info.Embedding), index(info.Output)
	if e < 0 || o < 0 {
		return nil
	}
	embedding := c.names.of(&info.Weights[e])
	head := c.names.head(&info.Head)
	if e != o {
		head = c.names.of(&info.Weights[o])
	}
	te, to := c.find(embedding), c.find(head)
	tied, where := saysTied(c.f, c.names, info, func(name string) bool { return c.find(name) != "" })
	untied := where != "" && !tied
	lacks := func(w int, name, other string) {
		if where == "" {
			where = "nothing says that " + fmt.Sprintf("%q", other) + " stands for it; if it does, --set model.tie=true reads it so"
		}
		*missing = append(*missing, fmt.Sprintf("no tensor %q for weight %s: %s", c.called(name), info.Weights[w].Name, where))
	}
	p.from[e], p.from[o] = te, to
	switch {
	case e == o && te != "" && to != "":
		p.from[e] = te
		if te != to {
			p.twins = append(p.twins, twin{e, to, "model " + info.Name + " has one weight for both: --set model.tie=false gives it two"})
		}
	case e == o && te != "":
		p.from[e] = te
		// Such files are written of models without their head.
		if untied && head != "" {
			*missing = append(*missing, fmt.Sprintf("no tensor %q, and %s: the output projection is not in the file", c.called(head), where))
		}
	case e == o && to != "" && !untied:
		p.notes = append(p.notes, fmt.Sprintf("%q is read as the embedding too, to which the model ties it", to))
	case e == o && to != "":
		p.from[e] = ""
		*missing = append(*missing, fmt.Sprintf("no tensor %q for weight %s: %s", c.called(embedding), info.Embedding, where))
	case te == "" && to == "":
		*missing = append(*missing, c.lacks(&info.Weights[e]))
		if e != o {
			*missing = append(*missing, c.lacks(&info.Weights[o]))
		}
	case te != "" && to != "":
		// What is said and what is there contradict each other, unless they are equal.
		if tied && te != to {
			p.twins = append(p.twins, twin{e, to, where})
		}
	case to == "" && tied:
		p.from[o] = te
	case te == "" && tied:
		p.from[e] = to
	case to == "":
		lacks(o, head, te)
	default:
		lacks(e, embedding, to)
	}
	return []int{e, o}
}
