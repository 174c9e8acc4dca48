package prepare

import (
	"errors"

	"github.com/llamac/llamac/data"
)

// part is one shard of a unit and which of its documents go.
// Which documents go is decided on the tables alone; the tokens are read only
// where some do.
type part struct {
	shard *data.Shard
	info  *data.ShardInfo
	cut   bitset // beyond the limit of the source
	drop  bitset // those and the duplicates
	drops int64
}

// bitset has a bit for each document.
type bitset []uint64

// has and set take the number of a document.
func (b bitset) has(i int64) bool { return b[i/64]>>(i%64)&1 != 0 }
func (b bitset) set(i int64)      { b[i/64] |= 1 << (i % 64) }

// dropDoc drops document i and reports whether it was there.
// Dropping twice counts once: a document may be a duplicate in two passes over
// the hashes.
func (p *part) dropDoc(i int64) bool {
	if p.drop.has(i) {
		return false
	}
	p.drop.set(i)
	p.drops++
	return true
}

// docRef is a document of a unit.
// It names a document without holding anything of it.
type docRef struct {
	u    *doneUnit
	part int
	i    int64
}

// each goes through a unit's documents in the order they were read in.
// The order is that of Ord, which the two shards share.
func (u *doneUnit) each(f func(docRef, data.Doc) error) error {
	// Each shard has its documents in order, so this merges two sorted lists.
	// Next document of each shard.
	var at [2]int64
	for {
		best := -1
		var doc data.Doc
		for k, p := range u.parts {
			if p == nil || at[k] == p.shard.Docs {
				continue
			}
			d, err := p.shard.Doc(at[k])
			if err != nil {
				return err
			}
			if best < 0 || d.Ord < doc.Ord {
				best, doc = k, d
			}
		}
		if best < 0 {
			return nil
		}
		if err := f(docRef{u, best, at[best]}, doc); err != nil {
			return err
		}
		at[best]++
	}
}

// counts are the sizes of one document.
// Tokens include BOS and EOS.
func (d docRef) counts() (data.Counts, error) {
	s := d.u.parts[d.part].shard
	e, err := s.Doc(d.i)
	if err != nil {
		return data.Counts{}, err
	}
	// A document ends where the next begins.
	end := s.Tokens
	if d.i+1 < s.Docs {
		next, err := s.Doc(d.i + 1)
		if err != nil {
			return data.Counts{}, err
		}
		end = next.Start
	}
	return data.Counts{Docs: 1, Bytes: int64(e.Bytes), Tokens: end - e.Start}, nil
}

// cutOff drops the documents that begin after limit bytes of text.
// The document in which the limit falls is kept whole.
func (u *doneUnit) cutOff(limit int64) error {
	// Of the text of all documents, those to be dropped as duplicates later
	// included: the limit is on what is read.
	var sum int64
	before, beyond := int64(-1), false
	return u.each(func(d docRef, e data.Doc) error {
		// The held-out end of a document goes or stays with its beginning.
		if int64(e.Ord) != before {
			before, beyond = int64(e.Ord), sum >= limit
		}
		if p := u.parts[d.part]; beyond && p.dropDoc(d.i) {
			p.cut.set(d.i)
			c, err := d.counts()
			if err != nil {
				return err
			}
			u.source.Beyond.Add(c)
		}
		sum += int64(e.Bytes)
		return nil
	})
}

// dropDuplicates drops documents that equal an earlier one: of the same
// source, or of any when the whole mixture is to have each once. What was cut
// off does not count as earlier.
// Held-out documents are among them: one that equals a training document would
// be no test.
func (f *finishing) dropDuplicates(m *data.Manifest) error {
	// Across sources the earlier source keeps its document, whatever the shares
	// are.
	if m.Dedup {
		return f.dedupUnits(f.units) // in the order of the sources
	}
	for i := range m.Sources {
		if !m.Sources[i].Dedup {
			continue
		}
		// Only of this source: equal documents of two sources both stay.
		var units []*doneUnit
		for _, u := range f.units {
			if u.unit.source == i {
				units = append(units, u)
			}
		}
		if err := f.dedupUnits(units); err != nil {
			return err
		}
	}
	return nil
}

// dedupUnits drops, within these units taken as one list of documents, all but
// the first of those that are equal.
func (f *finishing) dedupUnits(units []*doneUnit) error {
	// Bounds the passes that the table of hashes will take.
	var docs int64
	for _, u := range units {
		for _, p := range u.parts {
			if p != nil {
				docs += p.shard.Docs
			}
		}
	}
	// A document dropped as a duplicate stays in the walk: it is equal to the
	// one that is kept, so it changes nothing for those after it.
	walk := func(see func(docRef, [16]byte) error) error {
		for _, u := range units {
			err := u.each(func(d docRef, e data.Doc) error {
				if d.u.parts[d.part].cut.has(d.i) {
					return nil
				}
				return see(d, e.Hash)
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	// drop cannot return one.
	var fault error
	err := dedup(docs, f.r.cfg.DedupMemory, walk, func(d docRef) {
		if d.u.parts[d.part].dropDoc(d.i) {
			c, err := d.counts()
			fault = errors.Join(fault, err)
			d.u.source.Duplicates.Add(c)
		}
	})
	return errors.Join(err, fault)
}
