package plan

// span is the first and the last place, counted through a program's items, at
// which a buffer holds something.
type span struct{ first, last int }

// lives finds each scratch buffer's span from the launches alone, so that
// Verify need not trust what the scheduler wrote down. Inside of a loop a
// buffer lives from its first to its last use in the body; if it is also used
// outside of the loop, or read in the body before the body writes it, it lives
// through the whole loop: the next layer finds what this one left.
func (q *Program) lives() map[*Buffer]span {
	l := &liveness{spans: map[*Buffer]span{}}
	l.items(q.Items)
	for _, o := range q.Results {
		l.touch(o, false)
	}
	for _, r := range l.loops {
		for b, u := range r.uses {
			s := l.spans[b]
			if s.first < r.begin || s.last > r.end || u.readFirst {
				l.spans[b] = span{min(s.first, r.begin), max(s.last, r.end)}
			}
		}
	}
	return l.spans
}

type liveness struct {
	at    int
	spans map[*Buffer]span
	loops []*loopUse
	loop  *loopUse // that is being walked
}

// loopUse is how the body of one loop uses buffers.
type loopUse struct {
	begin, end int
	uses       map[*Buffer]*bodyUse
}

type bodyUse struct{ readFirst bool }

func (l *liveness) items(items []Item) {
	for _, it := range items {
		l.at++
		switch x := it.(type) {
		case *Launch:
			for _, o := range x.Args {
				l.touch(o, false)
			}
			for _, o := range x.Results {
				l.touch(o, o.Mode == Overwrite)
			}
		case *Copy:
			l.touch(x.Src, false)
			l.touch(x.Dst, true)
		case *Comm:
			l.touch(x.Src, false)
			l.touch(x.Dst, true)
		case *Loop:
			r := &loopUse{begin: l.at, uses: map[*Buffer]*bodyUse{}}
			l.loops = append(l.loops, r)
			outer := l.loop
			l.loop = r
			l.items(x.Body)
			l.loop = outer
			l.at++
			r.end = l.at
		}
	}
}

func (l *liveness) touch(o Operand, overwrites bool) {
	b := o.Buffer
	if o.Kind != InBuffer || b.Region != Scratch {
		return
	}
	s, seen := l.spans[b]
	if !seen {
		s.first = l.at
	}
	l.spans[b] = span{s.first, l.at}
	if l.loop == nil {
		return
	}
	if u := l.loop.uses[b]; u == nil {
		l.loop.uses[b] = &bodyUse{readFirst: !overwrites}
	}
}
