package prepare

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/llamac/llamac/data"
)

// finishing is the last step: all units are there, and become a set.
type finishing struct {
	r     *runner
	units []*doneUnit
}

// doneUnit is a unit with its two shards open.
type doneUnit struct {
	*unit
	meta   *unitMeta
	parts  [2]*part // training, held out; nil when there are no documents
	source *data.SourceInfo
}

// part is one shard of a unit and which of its documents go.
type part struct {
	shard *data.Shard
	info  *data.ShardInfo
	cut   bitset // beyond the limit of the source
	drop  bitset // those and the duplicates
	drops int64
}

// bitset has a bit for each document.
type bitset []uint64

func (b bitset) has(i int64) bool { return b[i/64]>>(i%64)&1 != 0 }
func (b bitset) set(i int64)      { b[i/64] |= 1 << (i % 64) }

// dropDoc drops document i and reports whether it was there.
func (p *part) dropDoc(i int64) bool {
	if p.drop.has(i) {
		return false
	}
	p.drop.set(i)
	p.drops++
	return true
}

// finish makes the set out of the units. It returns nil without a set when
// units of other jobs are still missing. Several jobs may do it at the same
// time: they write the same bytes.
func (r *runner) finish(ctx context.Context) error {
	f := &finishing{r: r}
	defer f.close()
	m := &data.Manifest{
		Key:        r.plan.key,
		Validation: r.cfg.Validation,
		Dedup:      r.cfg.Dedup,
	}
	complete, err := f.open(m)
	if err != nil || !complete {
		return err
	}
	r.progress.set(func(p *Progress) { p.Phase = "finish" })
	if err := f.dropDuplicates(m); err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, u := range f.units {
		if err := ctx.Err(); err != nil {
			return err
		}
		for held, p := range u.parts {
			if p == nil || p.drops == p.shard.Docs {
				continue
			}
			info, err := f.place(p)
			if err != nil {
				return err
			}
			info.HeldOut = held == 1
			keep[info.File] = true
			u.source.Shards = append(u.source.Shards, *info)
			if info.HeldOut {
				u.source.HeldOut.Add(info.Counts)
			} else {
				u.source.Train.Add(info.Counts)
			}
		}
	}
	if err := f.manifest(m); err != nil {
		return err
	}
	f.close() // before removing what is mapped
	r.tidy(keep)
	r.progress.set(func(p *Progress) { p.Phase = "done" })
	return nil
}

// open opens the shards of all units that the set needs and drops the
// documents beyond a source's limit.
func (f *finishing) open(m *data.Manifest) (complete bool, err error) {
	r := f.r
	for i, s := range r.cfg.Sources {
		m.Sources = append(m.Sources, data.SourceInfo{Name: s.Name, Kind: s.Kind, Files: len(r.plan.files[i]), Dedup: s.Dedup,
			Shards: []data.ShardInfo{}})
	}
	r.describe(m)
	var before int64 // text of the source before this unit
	for _, u := range r.plan.units {
		src := &r.cfg.Sources[u.source]
		if u.number == 0 {
			before = 0
		}
		if src.MaxBytes > 0 && before >= src.MaxBytes {
			continue
		}
		meta := r.done[u.index]
		if meta == nil {
			// Another job may have done it since.
			if meta = r.readMeta(u); meta == nil {
				return false, nil
			}
		}
		info := &m.Sources[u.source]
		info.Empty += meta.Empty
		info.LeftOut += meta.LeftOut
		info.BadDocs += meta.BadDocs
		info.BadFiles += meta.BadFiles
		d := &doneUnit{unit: u, meta: meta, source: info}
		f.units = append(f.units, d)
		for i, si := range []*data.ShardInfo{meta.Train, meta.HeldOut} {
			if si == nil {
				continue
			}
			shard, err := data.OpenShard(filepath.Join(r.dir, workDir, si.File))
			if err != nil {
				return false, err
			}
			words := (shard.Docs + 63) / 64
			d.parts[i] = &part{shard: shard, info: si, cut: make(bitset, words), drop: make(bitset, words)}
		}
		if text := meta.text(); src.MaxBytes > 0 && before+text > src.MaxBytes {
			if err := d.cutOff(src.MaxBytes - before); err != nil {
				return false, err
			}
		}
		before += meta.text()
	}
	return true, nil
}

func (f *finishing) close() {
	for _, u := range f.units {
		for _, p := range u.parts {
			if p != nil && p.shard != nil {
				p.shard.Close()
				p.shard = nil
			}
		}
	}
}

// docRef is a document of a unit.
type docRef struct {
	u    *doneUnit
	part int
	i    int64
}

// each goes through a unit's documents in the order they were read in.
func (u *doneUnit) each(f func(docRef, data.Doc) error) error {
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
func (d docRef) counts() (data.Counts, error) {
	s := d.u.parts[d.part].shard
	e, err := s.Doc(d.i)
	if err != nil {
		return data.Counts{}, err
	}
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
func (u *doneUnit) cutOff(limit int64) error {
	var sum int64
	return u.each(func(d docRef, e data.Doc) error {
		if p := u.parts[d.part]; sum >= limit && p.dropDoc(d.i) {
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
func (f *finishing) dropDuplicates(m *data.Manifest) error {
	if m.Dedup {
		return f.dedupUnits(f.units)
	}
	for i := range m.Sources {
		if !m.Sources[i].Dedup {
			continue
		}
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

func (f *finishing) dedupUnits(units []*doneUnit) error {
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

// place puts a unit's shard into the set: as it is, or without the documents
// that go.
func (f *finishing) place(p *part) (*data.ShardInfo, error) {
	path := filepath.Join(f.r.dir, p.info.File)
	if p.drops == 0 {
		info := *p.info
		return &info, f.r.link(p.shard, path)
	}
	out, err := f.r.newShard(path)
	if err != nil {
		return nil, err
	}
	defer out.abandon()
	var ids []int32
	for i := int64(0); i < p.shard.Docs; i++ {
		if p.drop.has(i) {
			continue
		}
		d, err := p.shard.Doc(i)
		if err != nil {
			return nil, err
		}
		name, err := p.shard.DocName(i, d)
		if err != nil {
			return nil, err
		}
		c, err := docRef{&doneUnit{parts: [2]*part{p}}, 0, i}.counts()
		if err != nil {
			return nil, err
		}
		ids = append(ids[:0], make([]int32, c.Tokens)...)
		p.shard.Read(d.Start, ids)
		if err := out.w.Add(d, name, ids); err != nil {
			return nil, fmt.Errorf("writing %s: %w", path, err)
		}
	}
	h, err := out.finish()
	if err != nil {
		return nil, err
	}
	return shardInfo(p.info.File, h), nil
}

// link gives a shard of the work folder its name in the set. The unit keeps
// it too, so that the finishing can be interrupted and done again. Where a
// file cannot have two names, it is copied.
func (r *runner) link(s *data.Shard, path string) error {
	if h, err := data.ReadHeader(path); err == nil && h == s.Header {
		return nil // from a finishing that was interrupted, or another job's
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := os.Link(s.Path, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	return r.atomically(path, func(f tempFile) error {
		from, err := os.Open(s.Path)
		if err != nil {
			return err
		}
		defer from.Close()
		_, err = io.Copy(f, from)
		return err
	})
}

// manifest writes the table of token bytes and, last of all, the manifest.
func (f *finishing) manifest(m *data.Manifest) error {
	r := f.r
	h := r.header()
	table := encodeTokenBytes(r.tokenBytes)
	m.Tokenizer = data.TokenizerInfo{Hash: h.Tokenizer, Vocab: h.Vocab, BOS: h.BOS, EOS: h.EOS,
		TokenBytes: fmt.Sprintf("%x", sha256.Sum256(table))}
	if err := r.writeWhole(filepath.Join(r.dir, data.TokenBytesFile), table); err != nil {
		return err
	}
	b, err := m.Encode()
	if err != nil {
		return err
	}
	return r.writeWhole(filepath.Join(r.dir, data.ManifestFile), b)
}

var ours = regexp.MustCompile(`^(\.tmp-)?[A-Za-z0-9_-]+-[0-9]{5,}\.(train\.tok|val\.tok|json)(-[0-9]+)?$`)

// tidy removes the units and shards of earlier sets in this folder, and
// nothing that does not bear their names. The set is complete, so failing to
// is no failure.
func (r *runner) tidy(keep map[string]bool) {
	work := filepath.Join(r.dir, workDir)
	removeOurs(work, nil)
	os.Remove(work) // if nothing else is in it
	removeOurs(r.dir, keep)
}

func removeOurs(dir string, keep map[string]bool) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if ours.MatchString(e.Name()) && !keep[e.Name()] {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
