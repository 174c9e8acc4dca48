package weights

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Programs that wrap a model leave their names in front of those of its tensors, and
// models that are saved without their wrapper lack them. rename turns the names of
// a file into those that a model has: it takes one prefix off and puts another in
// front. Both end in a dot, or are empty.
type rename struct{ take, put string }

// wrappers are words that stand for no part of a model wherever they are, and
// layerless is one that does not where no name of the model has it.
var wrappers = []string{"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}

const layerless = "module"

// unwrapped drops the words of wrappers inside of a name.
func unwrapped(name string, wanted map[string]bool) string {
	if wanted[name] {
		return name
	}
	words := strings.Split(name, ".")
	words = slices.DeleteFunc(words, func(w string) bool { return slices.Contains(wrappers, w) })
	if s := strings.Join(words, "."); wanted[s] {
		return s
	}
	// DataParallel puts its module around parts as well.
	less := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == layerless })
	if s := strings.Join(less, "."); wanted[s] || len(less) > 0 && less[0] != words[0] {
		return s
	}
	return strings.Join(words, ".")
}

// apply gives the model's name for a tensor of the file.
func (r rename) apply(name string, wanted map[string]bool) string {
	if r == (rename{}) {
		return name
	}
	s := unwrapped(name, wanted)
	// A head is often outside of what has the prefix.
	if rest, ok := strings.CutPrefix(s, r.take); ok {
		for _, to := range []string{r.put + rest, rest, s} {
			if wanted[to] {
				return to
			}
		}
	}
	if wanted[s] {
		return s
	}
	return name
}

// String says what is done, for people.
func (r rename) String() string {
	switch {
	case r == same:
		return "words that wrap the model taken out"
	case r.put == "":
		return fmt.Sprintf("%q taken off", r.take)
	case r.take == "":
		return fmt.Sprintf("%q put in front", r.put)
	}
	return fmt.Sprintf("%q replaced by %q", r.take, r.put)
}

// same drops wrappers' words and changes no prefix: no name has an empty word.
var same = rename{take: "."}

// prefixesOf finds the changes of a prefix that may make the file's names those
// that are wanted, in a fixed order. A number is no part of a prefix: that would
// take one layer for another.
func prefixesOf(names []string, wanted map[string]bool) []rename {
	// What stands in front of each ending of two words or more.
	fronts := map[string][]string{}
	cuts := func(name string, each func(front, rest string)) {
		for at := 0; ; {
			each(name[:at], name[at:])
			word, rest, ok := strings.Cut(name[at:], ".")
			// Of a name like norm.weight, all but the last word may be all that
			// there is.
			if _, err := strconv.Atoi(word); !ok || err == nil || !strings.Contains(rest, ".") {
				return
			}
			at += len(word) + 1
		}
	}
	for w := range wanted {
		cuts(w, func(front, rest string) { fronts[rest] = append(fronts[rest], front) })
	}
	count := map[rename]int{}
	changed := false
	for _, name := range names {
		s := unwrapped(name, wanted)
		changed = changed || s != name
		done := false
		cuts(s, func(front, rest string) {
			if done {
				return
			}
			for _, put := range fronts[rest] {
				done = true
				if put != front {
					count[rename{front, put}]++
				}
			}
		})
	}
	var out []rename
	if changed {
		out = append(out, same)
	}
	rest := make([]rename, 0, len(count))
	for r := range count {
		rest = append(rest, r)
	}
	slices.SortFunc(rest, func(a, b rename) int {
		if count[a] != count[b] {
			return count[b] - count[a]
		}
		return strings.Compare(a.take+"\x00"+a.put, b.take+"\x00"+b.put)
	})
	// More than a few are no prefix that one program left.
	return append(out, rest[:min(len(rest), 8)]...)
}
