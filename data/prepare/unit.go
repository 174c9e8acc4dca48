package prepare

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/llamac/llamac/data"
)

// unitMeta is the record of a finished unit, in work/NAME.json. It is written
// after the unit's shards: a unit is done when its record is there.
type unitMeta struct {
	Key      string          `json:"key"`
	Train    *data.ShardInfo `json:"train,omitempty"`
	HeldOut  *data.ShardInfo `json:"held_out,omitempty"`
	Empty    int64           `json:"empty"`
	LeftOut  int64           `json:"left_out"`
	BadDocs  int64           `json:"bad_docs"`
	BadFiles int64           `json:"bad_files"`
}

// text is the number of bytes of text that the unit read.
func (m *unitMeta) text() (n int64) {
	for _, s := range []*data.ShardInfo{m.Train, m.HeldOut} {
		if s != nil {
			n += s.Bytes
		}
	}
	return n
}

func (r *runner) metaPath(u *unit) string {
	return filepath.Join(r.dir, workDir, u.name+".json")
}

// readMeta returns the record of a unit that is done, and nil for one that is
// not: without a record, of another plan, or older than its input.
func (r *runner) readMeta(u *unit) *unitMeta {
	path := r.metaPath(u)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	st, err := os.Stat(path)
	if err != nil || u.newest.After(st.ModTime()) {
		return nil
	}
	m := new(unitMeta)
	if json.Unmarshal(b, m) != nil || m.Key != r.plan.key {
		return nil
	}
	if m.BadDocs+m.BadFiles > 0 && !r.cfg.SkipBad {
		return nil // to fail on what that run skipped
	}
	for _, s := range []*data.ShardInfo{m.Train, m.HeldOut} {
		if s == nil {
			continue
		}
		h, err := data.ReadHeader(filepath.Join(r.dir, workDir, s.File))
		if err != nil || fmt.Sprintf("%x", h.Sum) != s.SHA256 {
			return nil
		}
	}
	return m
}

// batch is some documents on their way through the workers.
type batch struct {
	source *Source
	docs   []batchDoc
	body   []byte // of all documents, end to end
	ids    []int32
	done   chan struct{}
	err    error // of reading what would follow the documents
}

type batchDoc struct {
	rawDoc
	from, to int    // its place in batch.body
	ids      [2]int // its place in batch.ids
	text     int64  // bytes; 0 for a document that is to be left out as empty
	fix      int32
	hash     [16]byte
	use      verdict
	err      error
}

const (
	batchBytes = 256 << 10 // of text, at least
	batchDocs  = 512       // at most
)

var batches = sync.Pool{New: func() any { return &batch{done: make(chan struct{}, 1)} }}

// reader gathers documents into batches and sends them on, in order.
type reader struct {
	r       *runner
	ctx     context.Context
	source  *Source
	pending chan<- *batch
	b       *batch
}

// add takes a document from a file.
func (rd *reader) add(d rawDoc) error {
	if rd.b == nil {
		// A slot bounds the batches in memory, over all units.
		select {
		case rd.r.slots <- struct{}{}:
		case <-rd.ctx.Done():
			return rd.ctx.Err()
		}
		rd.b = batches.Get().(*batch)
		rd.b.source, rd.b.docs, rd.b.body, rd.b.ids, rd.b.err = rd.source, rd.b.docs[:0], rd.b.body[:0], rd.b.ids[:0], nil
	}
	b := rd.b
	at := len(b.body)
	b.body = append(b.body, d.body...)
	d.body = nil
	b.docs = append(b.docs, batchDoc{rawDoc: d, from: at, to: len(b.body)})
	if len(b.body) >= batchBytes || len(b.docs) == batchDocs {
		return rd.flush(nil)
	}
	return nil
}

// flush sends the batch to the workers. err is what the unit's reading ended
// with, so that it is reported after the documents before it.
func (rd *reader) flush(err error) error {
	b := rd.b
	if b == nil {
		if err == nil {
			return nil
		}
		if e := rd.add(rawDoc{}); e != nil { // a batch only to carry err
			return e
		}
		b = rd.b
		b.docs = b.docs[:0]
	}
	b.err = err
	rd.b = nil
	select {
	case rd.pending <- b:
	case <-rd.ctx.Done():
		return rd.ctx.Err()
	}
	select {
	case rd.r.jobs <- b:
	case <-rd.ctx.Done():
		return rd.ctx.Err()
	}
	return nil
}

// readUnit reads a unit's files one after the other.
func (rd *reader) readUnit(u *unit) error {
	k := kinds[rd.source.Kind]
	for i := range u.files {
		if err := rd.readFile(k, &u.files[i]); err != nil {
			var bad *InputError
			if !errors.As(err, &bad) {
				return err
			}
			// Goes the way of the documents, to be counted in order.
			if err := rd.flush(err); err != nil {
				return err
			}
		}
	}
	return rd.flush(nil)
}

func (rd *reader) readFile(k *kind, f *inputFile) error {
	in, err := openInput(f, func(n int) {
		rd.r.progress.bytes.Add(int64(n))
		rd.r.progress.tick()
	})
	if err != nil {
		return err
	}
	defer in.close()
	if err := k.read(in, rd.add); err != nil {
		return err
	}
	// The plan, the key and the resuming all rest on what the file was when
	// the run began.
	st, err := os.Stat(f.path)
	if err == nil && (st.Size() != f.size || !st.ModTime().Equal(f.mtime)) {
		err = fmt.Errorf("%s: changed while it was read", f.path)
	}
	return err
}

// work tokenizes a batch.
func (r *runner) work(b *batch) {
	k := kinds[b.source.Kind]
	t := r.cfg.Tokenizer
	for i := range b.docs {
		d := &b.docs[i]
		d.body = b.body[d.from:d.to:d.to]
		text := d.body
		if k.text != nil {
			text, d.use, d.err = k.text(b.source, &d.rawDoc)
		}
		d.body = nil
		d.text = int64(len(text))
		if d.err != nil || d.use != use || len(text) == 0 {
			continue
		}
		if len(text) > mostDoc {
			d.err = d.bad(0, fmt.Errorf("more than %d bytes in one document", mostDoc))
			continue
		}
		sum := sha256.Sum256(text)
		copy(d.hash[:], sum[:])
		from := len(b.ids)
		if r.cfg.AddBOS {
			b.ids = append(b.ids, t.BOS())
		}
		first := len(b.ids)
		b.ids = t.Encode(b.ids, text)
		known := int64(0)
		for _, id := range b.ids[first:] {
			if uint(id) < uint(len(r.tokenBytes)) { // Writer reports the others
				known += int64(r.tokenBytes[id])
			}
		}
		d.fix = int32(d.text - known)
		if len(b.ids) == first {
			d.text = 0 // no tokens: as good as empty
		}
		if r.cfg.AddEOS {
			b.ids = append(b.ids, t.EOS())
		}
		d.ids = [2]int{from, len(b.ids)}
	}
	b.done <- struct{}{}
}

// unit does one unit: a goroutine reads, the workers tokenize, and this one
// writes the documents in the order they were read in.
func (r *runner) unit(ctx context.Context, u *unit) (m *unitMeta, err error) {
	ctx, cancel := context.WithCancel(ctx)
	pending := make(chan *batch, cap(r.slots))
	rd := &reader{r: r, ctx: ctx, source: &r.cfg.Sources[u.source], pending: pending}
	var readErr error
	go func() {
		defer close(pending)
		readErr = rd.readUnit(u)
	}()
	// Whatever happens, the reader must have ended before its unit does.
	defer func() {
		cancel()
		for range pending {
		}
	}()

	out, err := r.newUnitWriter(u)
	if err != nil {
		return nil, err
	}
	defer out.abandon()
	for b := range pending {
		select {
		case <-b.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if err := out.add(b); err != nil {
			return nil, err
		}
		if cap(b.body) <= 8*batchBytes { // not one that grew for a giant
			batches.Put(b)
		}
		<-r.slots
		r.progress.tick()
	}
	if readErr != nil {
		return nil, readErr
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return out.finish()
}

// unitWriter is the two shards of a unit and its counts.
type unitWriter struct {
	r          *runner
	u          *unit
	train, val *shardFile
	meta       unitMeta
	ord        uint32
}

func (r *runner) newUnitWriter(u *unit) (*unitWriter, error) {
	base := filepath.Join(r.dir, workDir, u.name)
	out := &unitWriter{r: r, u: u, meta: unitMeta{Key: r.plan.key}}
	// The record of an older run must not speak for the shards of this one.
	if err := os.Remove(r.metaPath(u)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
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

func (w *unitWriter) abandon() {
	w.train.abandon()
	if w.val != nil {
		w.val.abandon()
	}
}

// add writes a batch's documents.
func (w *unitWriter) add(b *batch) error {
	t := w.r.progress
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
			continue
		case d.text == 0:
			w.meta.Empty++
			continue
		}
		s := w.train
		if heldOut(d.name, w.r.cfg.Validation) {
			s = w.val
		}
		ids := b.ids[d.ids[0]:d.ids[1]]
		entry := data.Doc{Bytes: int32(d.text), Fix: d.fix, Ord: w.ord, Hash: d.hash}
		w.ord++
		if err := s.w.Add(entry, d.name, ids); err != nil {
			return fmt.Errorf("writing %s: %w", s.path, err)
		}
		t.docs.Add(1)
		t.text.Add(d.text)
		t.tokens.Add(int64(len(ids)))
	}
	if b.err != nil {
		w.meta.BadFiles++
		return w.skip(b.err)
	}
	return nil
}

// skip counts broken input if that was asked for, and otherwise returns it.
func (w *unitWriter) skip(err error) error {
	if !w.r.cfg.SkipBad {
		return err
	}
	w.r.progress.skipped.Add(1)
	w.r.onSkip(err)
	return nil
}

// finish puts the shards and then the record in place.
func (w *unitWriter) finish() (*unitMeta, error) {
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
	return &w.meta, w.r.writeWhole(w.r.metaPath(w.u), append(b, '\n'))
}

func shardInfo(file string, h data.Header) *data.ShardInfo {
	return &data.ShardInfo{File: file, Size: h.Size(), SHA256: fmt.Sprintf("%x", h.Sum),
		Counts: data.Counts{Docs: h.Docs, Bytes: h.Bytes, Tokens: h.Tokens}}
}

// heldOut decides by a document's name alone whether it is held out, so that
// it does not change when documents come and go around it, and a name that two
// sources share is on the same side in both.
func heldOut(name string, share float64) bool {
	sum := sha256.Sum256([]byte(name))
	// 53 bits, which a float64 holds exactly.
	return float64(binary.BigEndian.Uint64(sum[:])>>11) < share*(1<<53)
}
