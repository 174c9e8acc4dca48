package weights

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/llamac/llamac/runtime/model"
)

// catalogue finds tensors of a file by the names that a model has for them.
type catalogue struct {
	path   string
	f      File
	names  naming
	prefix rename
	wanted map[string]bool
	have   map[string]string // the file's name, by the model's
	alias  map[string]string // of names that the file says are others, by the file's names
	notes  []string
	looked int // weights for which similar names were looked for
}

// aliaser is a file that says of tensors it left out which others they are.
type aliaser interface{ aliases() map[string]string }

// newCatalogue takes the naming under which most weights are found, with the
// prefix that the file's names have more than that, or less.
func newCatalogue(info model.Info, path string, f File, names []naming) (*catalogue, error) {
	tensors := f.Tensors()
	c := &catalogue{path: path, f: f, alias: map[string]string{}}
	if a, ok := f.(aliaser); ok {
		c.alias = a.aliases()
	}
	list := slices.Collect(maps.Keys(c.alias))
	slices.Sort(list)
	for _, t := range tensors {
		list = append(list, t.Name)
	}
	fits, also := -1, []naming(nil)
	var best map[string]string // the file's name for each that is wanted
	var clash error            // of two prefixes that fit equally well
	for _, n := range names {
		wanted := wantedNames(&info, n)
		// What belongs to a format, and not to a program that wraps models.
		prefixes := []rename{{}}
		if n.label == meta.label || n.label == hf.label {
			prefixes = append(prefixes, prefixesOf(list, wanted)...)
		}
		for _, r := range prefixes {
			// Counted, not required: a file that lacks one tensor is then told
			// which, and not that it has none.
			found := map[string]string{}
			for _, name := range list {
				if to := r.apply(name, wanted); wanted[to] {
					found[to] = name
				}
			}
			switch {
			case len(found) > fits:
				fits, best, also, clash = len(found), found, nil, nil
				c.names, c.prefix, c.wanted = n, r, wanted
			case len(found) == fits && n.label == c.names.label && c.prefix != (rename{}) && !maps.Equal(found, best):
				clash = bad(path, -1, "the names of tensors fit the model in two ways: %s, and %s; which of the two is meant would be a guess", c.prefix, r)
			case len(found) == fits && n.label != c.names.label:
				also = append(also, n)
			}
		}
	}
	// Of a file of something else, what is missing says more.
	if clash != nil && 2*fits > len(info.Weights) {
		return nil, clash
	}
	if err := c.ambiguous(info, also, fits); err != nil {
		return nil, err
	}
	c.have = map[string]string{}
	for _, t := range tensors {
		to := c.prefix.apply(t.Name, c.wanted)
		if first, twice := c.have[to]; twice {
			return nil, bad(path, -1, "tensors %q and %q are both %q without prefixes", first, t.Name, to)
		}
		c.have[to] = t.Name
	}
	for _, name := range list {
		if to := c.prefix.apply(name, c.wanted); c.wanted[to] && to != name {
			c.notes = append(c.notes, fmt.Sprintf("the names of tensors differ by a prefix, %s: %q is read as %q", c.prefix, name, to))
			break
		}
	}
	return c, nil
}

// wantedNames are all names that a model has for tensors of one naming.
func wantedNames(info *model.Info, n naming) map[string]bool {
	wanted := map[string]bool{}
	for i := range info.Weights {
		wanted[n.of(&info.Weights[i])] = true
	}
	wanted[n.head(&info.Head)] = true
	delete(wanted, "")
	return wanted
}

// ambiguous refuses names that two namings share, where they disagree on pairs.
func (c *catalogue) ambiguous(info model.Info, also []naming, fits int) error {
	config := c.f.Config()
	for _, n := range also {
		rotated := slices.ContainsFunc(info.Weights, func(w model.Weight) bool { return w.Rope != "" })
		if fits < len(info.Weights) || n.layout == c.names.layout || !rotated {
			continue
		}
		// Hugging Face's configuration always has the one, Meta's always the other.
		switch _, ours := config["hidden_size"]; {
		case ours && n.label == hf.label:
			c.names, c.wanted = n, wantedNames(&info, n)
		case ours || config["n_layers"] != nil || config["dim"] != nil:
		default:
			return bad(c.path, -1, "the tensors have the names of %s's form and of %s's, which have the pairs of rotated rows in different places; a config.json or a params.json beside the file would tell, or names of the spec that differ",
				c.names.label, n.label)
		}
	}
	return nil
}

// find gives the file's name of the tensor that the model calls so, or "".
func (c *catalogue) find(name string) string {
	if at, ok := c.have[name]; ok && name != "" {
		return at
	}
	for from, to := range c.alias {
		if c.prefix.apply(from, c.wanted) == name {
			return to
		}
	}
	return ""
}

// called is what the file would call a tensor of that name.
func (c *catalogue) called(name string) string {
	if c.prefix == same {
		return name
	}
	r := rename{take: c.prefix.put, put: c.prefix.take}
	// Where the file has some tensors with the prefix and some without.
	if s, ok := strings.CutPrefix(name, r.take); ok {
		return r.put + s
	}
	return name
}

// lacks is the message for a weight without a tensor.
func (c *catalogue) lacks(w *model.Weight) string {
	name := c.names.of(w)
	if name == "" {
		return fmt.Sprintf("the spec's names for %s's form have none for weight %s", c.names.label, w.Name)
	}
	msg := fmt.Sprintf("no tensor %q for weight %s", c.called(name), w.Name)
	// Each name is compared with each, and no more messages than these are shown.
	if c.looked++; c.looked > most {
		return msg
	}
	// What nobody wants may be what is missing, misspelt.
	best, least := "", len(name)/3+1
	for to, at := range c.have {
		if c.wanted[to] || derived(c.f, at) {
			continue
		}
		if d := distance(name, to, least); d < least || d == least && best != "" && at < best {
			best, least = at, d
		}
	}
	if best != "" {
		msg += fmt.Sprintf("; there is %q, which the model has no name for", best)
	}
	return msg
}

// examples names a few tensors of the file, and what the model calls its own.
func (c *catalogue) examples(info *model.Info) string {
	var has, wants []string
	for _, t := range c.f.Tensors() {
		has = append(has, strconv.Quote(t.Name))
	}
	for i := range info.Weights {
		if name := c.names.of(&info.Weights[i]); name != "" {
			wants = append(wants, strconv.Quote(name))
		}
	}
	some := func(l []string) string {
		if len(l) == 0 {
			return "none"
		}
		if len(l) > 3 {
			l = append(l[:3:3], "...")
		}
		return strings.Join(l, ", ")
	}
	return strings.Join(append([]string{fmt.Sprintf("the file has %s; the model in %s's form %s", some(has), c.names.label, some(wants))}, c.hints()...), "\n\t")
}

// hints says what is known of files that are no model's weights.
func (c *catalogue) hints() (out []string) {
	for _, t := range c.f.Tensors() {
		if strings.Contains(t.Name, "lora_A") {
			return []string{"the file is a LoRA adapter, which changes a model and is none: merge it into its base model first"}
		}
	}
	if shardOf.MatchString(c.path) {
		out = append(out, "the file is one of several of a model: name their folder")
	}
	if c.prefix != (rename{}) {
		out = append(out, fmt.Sprintf("(names were compared with a prefix changed: %s)", c.prefix))
	}
	return out
}

// distance is the number of letters to insert, remove or replace (Levenshtein 1966),
// or limit if it is that large.
func distance(a, b string, limit int) int {
	if max(len(a)-len(b), len(b)-len(a)) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost++
			}
			last = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(b)], limit)
}
