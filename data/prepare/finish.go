package prepare

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

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

// finish makes the set out of the units. It returns nil without a set when
// units of other jobs are still missing. Several jobs may do it at the same
// time: they write the same bytes.
//
// It reads the units' tables of documents and, where documents are dropped,
// copies what is left. Interrupted, it is done again from the beginning: the
// units are still there.
func (r *runner) finish(ctx context.Context) error {
	f := &finishing{r: r}
	defer f.close()
	m := &data.Manifest{
		Key:        r.plan.key,
		Validation: r.cfg.Validation,
		Dedup:      r.cfg.Dedup,
	}
	// Missing units are no error: a job that is not the last one ends here.
	complete, err := f.open(m)
	if err != nil || !complete {
		return err
	}
	r.progress.set(func(p *Progress) { p.Phase = "finish" })
	// Before anything is written: a shard that loses nothing is linked as it is.
	if err := f.dropDuplicates(m); err != nil {
		return err
	}
	for _, u := range f.units {
		if err := ctx.Err(); err != nil {
			return err
		}
		for held, p := range u.parts {
			// Nothing of it is left.
			if p == nil || p.drops == p.shard.Docs {
				continue
			}
			// Each shard appears whole; the set is one only once the manifest
			// names them.
			info, err := f.place(p)
			if err != nil {
				return err
			}
			info.HeldOut = held == 1
			u.source.Shards = append(u.source.Shards, *info)
			if info.HeldOut {
				u.source.HeldOut.Add(info.Counts)
			} else {
				u.source.Train.Add(info.Counts)
			}
		}
	}
	if err := f.checkText(m); err != nil {
		return err
	}
	// From here on the set is there for everybody.
	if err := f.manifest(m); err != nil {
		return err
	}
	r.progress.set(func(p *Progress) { p.Phase = "done" })
	return nil
}

// mostAliens is how many files a message names.
const mostAliens = 3

// checkText tells what was left out as no text, and refuses a set without text
// to train on.
func (f *finishing) checkText(m *data.Manifest) error {
	for i := range m.Sources {
		s := &m.Sources[i]
		var named []string
		for _, u := range f.units {
			if u.unit.source == i {
				named = append(named, u.meta.Aliens...)
			}
		}
		list := strings.Join(named[:min(mostAliens, len(named))], "; ")
		if len(named) > 0 && s.LeftOut > int64(min(mostAliens, len(named))) {
			list += fmt.Sprintf("; and %d more", s.LeftOut-int64(min(mostAliens, len(named))))
		}
		if s.Share > 0 && s.Train.Tokens == 0 {
			return emptySource(s, list)
		}
		if list != "" {
			f.r.note(fmt.Sprintf("source %q: left out as no text: %s", s.Name, list))
		}
	}
	return nil
}

// emptySource says why a source has nothing to train on.
func emptySource(s *data.SourceInfo, list string) error {
	var why []string
	add := func(n int64, what string) {
		if n > 0 {
			why = append(why, fmt.Sprintf("%d %s", n, what))
		}
	}
	add(s.Empty, "empty")
	if list == "" {
		add(s.LeftOut, "left out by the kind of source")
	} else {
		why = append(why, "no text: "+list)
	}
	add(s.HeldOut.Docs, "held out for validation")
	add(s.Duplicates.Docs, "equal to others")
	add(s.Beyond.Docs, "beyond max_bytes")
	add(s.BadDocs, "broken")
	add(s.BadFiles, "cut short by an error")
	if why == nil {
		why = []string{"they hold no document"}
	}
	files := "its file"
	if s.Files > 1 {
		files = fmt.Sprintf("its %d files", s.Files)
	}
	return fmt.Errorf("source %q has no text to train on; of %s: %s", s.Name, files, strings.Join(why, ", "))
}

// open opens the shards of all units that the set needs and drops the
// documents beyond a source's limit.
// Units are looked at in the plan's order, in which sources follow each other.
func (f *finishing) open(m *data.Manifest) (complete bool, err error) {
	r := f.r
	for i, s := range r.cfg.Sources {
		m.Sources = append(m.Sources, data.SourceInfo{Name: s.Name, Kind: s.Kind, Files: len(r.plan.files[i]), Dedup: s.Dedup, Split: r.plan.split[i],
			Shards: []data.ShardInfo{}})
	}
	// Shares and the like are not the units' business.
	r.describe(m)
	var before int64 // text of the source before this unit
	for _, u := range r.plan.units {
		src := &r.cfg.Sources[u.source]
		if u.number == 0 {
			before = 0 // a new source
		}
		// Units wholly beyond the limit may or may not have been done, which
		// depends on the number of workers: they are not looked at.
		if src.MaxBytes > 0 && before >= src.MaxBytes {
			continue
		}
		meta := r.done[u.index]
		if meta == nil {
			// Another job may have done it since this one looked.
			if meta = r.readMeta(u); meta == nil {
				return false, nil
			}
		}
		// Sums over units, in the same order by every job.
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
			// Two bits a document: what the whole of a crawl is held in memory
			// with.
			words := (shard.Docs + 63) / 64
			d.parts[i] = &part{shard: shard, info: si, cut: make(bitset, words), drop: make(bitset, words)}
		}
		// The one unit in which the limit falls.
		if text := meta.text(); src.MaxBytes > 0 && before+text > src.MaxBytes {
			if err := d.cutOff(src.MaxBytes - before); err != nil {
				return false, err
			}
		}
		before += meta.text()
	}
	return true, nil
}

// close unmaps the units' shards. It may be called again.
// Files that are mapped cannot be removed on every system.
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
