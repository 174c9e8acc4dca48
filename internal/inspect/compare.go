package inspect

import "slices"

// compare flags the rows that a pass made or rewrote, and in the blocks before
// it those that it took away or rewrote. A line that only moved is the same
// line: a graph's order is one of many, and passes that insert nodes shift
// others about. So lines are compared as sets within a function, and a line is
// rewritten, not new, if it defines what a vanished line defined:
//
//   - %r = add(%x, %attn.out)                     rewritten, by %r
//   - %ffn.n = rms_norm(%r, $ffn_norm)            gone
//   - %r, %ffn.n = add_rms_norm(%x, %attn.out, $ffn_norm)
func compare(col *column, before, after []*block, lines []*line) {
	// Block after the pass to the one it came from.
	origin := map[*block]*block{}
	for _, b := range after {
		old := counterpart(b, before, after)
		origin[b] = old
		var rows []row
		if old != nil {
			rows = old.Rows
		}
		was := map[string]bool{}    // texts before it
		definer := map[string]int{} // what a vanished line defined -> its place in rows
		is := map[string]bool{}     // texts after the pass
		for _, r := range b.Rows {
			is[lines[r[0]].Text] = true
		}
		for i, r := range rows {
			text := lines[r[0]].Text
			was[text] = true
			if !is[text] {
				for _, d := range defines(text) {
					definer[d] = i
				}
			}
		}
		for i := range b.Rows {
			r := &b.Rows[i]
			text := lines[r[0]].Text
			// Also if it has moved.
			if was[text] {
				continue
			}
			r[1] |= flagNew
			for _, d := range defines(text) {
				// It defines what a line that is gone defined.
				if j, ok := definer[d]; ok {
					r[1] = r[1]&^flagNew | flagChanged
					r[2] = rows[j][0]
					rows[j][1] |= flagAltered
					break
				}
			}
			if r[1]&flagNew != 0 {
				col.New++
			} else {
				col.Changed++
			}
		}
		if b.Head != nil {
			compareHeads(b, old, lines)
		}
	}
	// A line goes only if no function that came from its own still has it.
	for _, old := range before {
		for i := range old.Rows {
			r := &old.Rows[i]
			// A function that became two keeps a line if either has it.
			kept := slices.ContainsFunc(after, func(b *block) bool {
				return origin[b] == old && slices.ContainsFunc(b.Rows, func(x row) bool { return lines[x[0]].Text == lines[r[0]].Text })
			})
			if !kept && r[1]&flagAltered == 0 {
				r[1] |= flagGone
				col.Gone++
			}
		}
	}
}

// compareHeads flags a block's first line.
// Parameters, saves and results stand in it.
func compareHeads(b, old *block, lines []*line) {
	switch {
	case old == nil:
		b.Head[1] |= flagNew
	case lines[old.Head[0]].Text != lines[b.Head[0]].Text:
		b.Head[1] |= flagChanged
		b.Head[2] = old.Head[0]
		old.Head[1] |= flagAltered
	}
}

// counterpart is the block before the pass that a block came from: the one of
// its name, or, for a function of a new name, the one that is gone and has most
// lines in common. One loss becomes a training step and an evaluation.
func counterpart(b *block, before, after []*block) *block {
	named := func(list []*block, name string) *block {
		i := slices.IndexFunc(list, func(x *block) bool { return x.Name == name })
		if i < 0 {
			return nil
		}
		return list[i]
	}
	// Nearly always.
	if old := named(before, b.Name); old != nil {
		return old
	}
	var best *block
	most := 0
	for _, old := range before {
		if named(after, old.Name) != nil || old.Group != b.Group {
			continue
		}
		// Equal lines, counted by their numbers.
		common := 0
		for _, r := range b.Rows {
			if slices.ContainsFunc(old.Rows, func(o row) bool { return o[0] == r[0] }) {
				common++
			}
		}
		if common > most {
			best, most = old, common
		}
	}
	return best
}

// fates walks the graph as it was before the pass. A fusion's result keeps the
// name of the last value of its pattern, so what stood inside of the pattern
// leads there: scores and probabilities of attention to %attn.o.rows.
//
// It says for each value that a pass took away what it was for: the nearest
// values on its readers' side that are still there. A value that nobody read
// any more has none.
func fates(before, after *snapshot) map[string][]string {
	// After the pass.
	there := map[string]bool{}
	for _, k := range after.values {
		there[k] = true
	}
	out := map[string][]string{}
	for _, gone := range before.values {
		if there[gone] {
			continue
		}
		into := []string{}
		seen := map[string]bool{gone: true}
		// Breadth first: the nearest come first, and are shown first.
		for queue := []string{gone}; len(queue) > 0; queue = queue[1:] {
			for _, r := range before.readers[queue[0]] {
				if seen[r] {
					continue
				}
				seen[r] = true
				// A weight or state is there in every column.
				if there[r] || r[0] == '$' || r[0] == '!' {
					into = append(into, r)
				} else {
					queue = append(queue, r)
				}
			}
		}
		out[gone] = into
	}
	return out
}
