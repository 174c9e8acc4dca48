package prepare

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/llamac/llamac/data"
)

// unitWriter is the two shards of a unit and its counts.
type unitWriter struct {
	r          *runner
	u          *unit
	train, val *shardFile
	meta       unitMeta
	ord        uint32 // of the next document, over both shards
}

// newUnitWriter opens both shards, even if one stays empty: which documents
// are held out is known only when they come.
func (r *runner) newUnitWriter(u *unit) (*unitWriter, error) {
	base := filepath.Join(r.dir, workDir, u.name)
	out := &unitWriter{r: r, u: u, meta: unitMeta{Key: r.plan.key}}
	// The record of an older run must not speak for the shards of this one.
	if err := os.Remove(r.metaPath(u)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	// The names are final already; createTemp puts something before them.
	var err error
	if out.train, err = r.newShard(base + ".train.tok"); err != nil {
		return nil, err
	}
	if out.val, err = r.newShard(base + ".val.tok"); err != nil {
		out.abandon()
		return nil, err
	}
	return out, nil
}

// abandon removes what is not finished. After finish there is nothing left to
// remove.
func (w *unitWriter) abandon() {
	w.train.abandon()
	if w.val != nil {
		w.val.abandon()
	}
}

// add writes a batch's documents.
func (w *unitWriter) add(b *batch) error {
	t := w.r.progress
	// In the order of the file.
	for i := range b.docs {
		d := &b.docs[i]
		switch {
		case d.err != nil:
			w.meta.BadDocs++
			if err := w.skip(d.err); err != nil {
				return err
			}
			continue
		case d.use == leaveIt:
			w.meta.LeftOut++
			if d.why != "" && len(w.meta.Aliens) < mostAliens {
				w.meta.Aliens = append(w.meta.Aliens, fmt.Sprintf("%s: %s", d.file.path, d.why))
			}
			continue
		case d.text == 0:
			w.meta.Empty++
			continue
		}
		// Held-out documents go to a shard of their own, so that no window of
		// training can reach into one.
		s := w.train
		if b.split == splitDocuments && heldOut(d.name, w.r.cfg.Validation) {
			s = w.val
		}
		if err := w.put(s, b, d.name, d.encoded); err != nil {
			return err
		}
		if d.tail.text > 0 {
			if err := w.put(w.val, b, d.name, d.tail); err != nil {
				return err
			}
		}
		// The order over both shards, which duplicates are judged by. Both parts
		// of a document that is cut have the same.
		w.ord++
		t.docs.Add(1)
	}
	// After the documents before it, which are good.
	if b.err != nil {
		w.meta.BadFiles++
		return w.skip(b.err)
	}
	return nil
}

// put adds a text to a shard.
func (w *unitWriter) put(s *shardFile, b *batch, name string, e encoded) error {
	ids := b.ids[e.ids[0]:e.ids[1]]
	// Start and name are the writer's to fill in.
	entry := data.Doc{Bytes: int32(e.text), Fix: e.fix, Ord: w.ord, Hash: e.hash}
	if err := s.w.Add(entry, name, ids); err != nil {
		return fmt.Errorf("writing %s: %w", s.path, err)
	}
	w.r.progress.text.Add(e.text)
	w.r.progress.tokens.Add(int64(len(ids)))
	return nil
}

// skip counts broken input if that was asked for, and otherwise returns it.
// Each is reported as well: to skip is not to hide.
func (w *unitWriter) skip(err error) error {
	if !w.r.cfg.SkipBad {
		return err
	}
	w.r.progress.skipped.Add(1)
	w.r.onSkip(err)
	return nil
}

// finish puts the shards and then the record in place.
// Between the two a kill leaves shards without a record, which the next run
// writes anew.
func (w *unitWriter) finish() (*unitMeta, error) {
	// Both are on the disk before the record says so.
	for _, s := range []*shardFile{w.train, w.val} {
		h, err := s.finish()
		if err != nil {
			return nil, err
		}
		if h.Docs == 0 {
			continue
		}
		info := shardInfo(filepath.Base(s.path), h)
		if s == w.train {
			w.meta.Train = info
		} else {
			info.HeldOut = true
			w.meta.HeldOut = info
		}
	}
	b, err := json.MarshalIndent(&w.meta, "", "  ")
	if err != nil {
		return nil, err
	}
	// Last: its being there is what makes the unit done.
	return &w.meta, w.r.writeWhole(w.r.metaPath(w.u), append(b, '\n'))
}

// shardInfo is what the manifest says of a shard.
func shardInfo(file string, h data.Header) *data.ShardInfo {
	return &data.ShardInfo{File: file, Size: h.Size(), SHA256: fmt.Sprintf("%x", h.Sum),
		Counts: data.Counts{Docs: h.Docs, Bytes: h.Bytes, Tokens: h.Tokens}}
}

// heldOut decides by a document's name alone whether it is held out, so that
// it does not change when documents come and go around it, and a name that two
// sources share is on the same side in both.
//
// Documents of a crawl come again next month under the same address; with a
// random choice they would slowly leak into training.
func heldOut(name string, share float64) bool {
	sum := sha256.Sum256([]byte(name))
	// 53 bits, which a float64 holds exactly.
	return float64(binary.BigEndian.Uint64(sum[:])>>11) < share*(1<<53)
}
