package prepare

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Documents travel in batches, because a document can be a single line of JSON
// and a channel costs more than tokenizing that. A batch takes three steps, in
// three goroutines:
//
//	reader      cuts files into documents and copies them into body
//	worker      turns each into text and its text into ids, in any order
//	unit        writes the documents, in the order they were read in
//
// Order is kept by sending every batch down two channels: to the workers, and
// to the unit, which waits for each in turn until its done is signalled.

// batch is some documents on their way through the workers. Its slices are
// used again, so that reading a corpus does not allocate in proportion to it.
type batch struct {
	source *Source
	split  string // how the source's text is held out
	docs   []batchDoc
	body   []byte // of all documents, end to end
	ids    []int32
	done   chan struct{}
	err    error // of reading what would follow the documents
}

// batchDoc is a document and what the workers find out about it.
type batchDoc struct {
	rawDoc
	from, to int     // its place in batch.body
	encoded          // the document, or what of it is not in tail
	tail     encoded // the held-out end, if its source is split by position
	use      verdict
	err      error
}

// encoded is a text as tokens.
type encoded struct {
	ids  [2]int // its place in batch.ids
	text int64  // bytes; 0 for one that is to be left out as empty
	fix  int32
	hash [16]byte
}

const (
	batchBytes = 256 << 10 // of text, at least
	batchDocs  = 512       // at most
)

var batches = sync.Pool{New: func() any { return &batch{done: make(chan struct{}, 1)} }}

// reader gathers documents into batches and sends them on, in order.
// There is one for each unit that is open.
type reader struct {
	r       *runner
	ctx     context.Context
	source  *Source
	split   string
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
		rd.b.source, rd.b.split, rd.b.docs, rd.b.body, rd.b.ids, rd.b.err = rd.source, rd.split, rd.b.docs[:0], rd.b.body[:0], rd.b.ids[:0], nil
	}
	b := rd.b
	at := len(b.body)
	b.body = append(b.body, d.body...)
	d.body = nil
	b.docs = append(b.docs, batchDoc{rawDoc: d, from: at, to: len(b.body)})
	// Either is work enough for a worker to be worth the hand-over.
	if len(b.body) >= batchBytes || len(b.docs) == batchDocs {
		return rd.flush(nil)
	}
	return nil
}

// flush sends the batch to the workers. err is what the unit's reading ended
// with, so that it is reported after the documents before it.
// To the unit first: the order of pending is the order of the file, whichever
// worker is faster.
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
// The end of one file is no end of a batch: small files share them.
func (rd *reader) readUnit(u *unit) error {
	// Checked to be there when the preparation began.
	k := kinds[rd.source.Kind]
	for i := range u.files {
		if err := rd.readFile(k, &u.files[i]); err != nil {
			// Broken input may be skipped, from here to the end of the file. Any
			// other error, such as a file that is gone, ends the run.
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

// readFile reads one file and makes sure that it is the file of the plan.
func (rd *reader) readFile(k *kind, f *inputFile) error {
	in, err := openInput(f, func(n int) {
		rd.r.progress.bytes.Add(int64(n))
		rd.r.progress.tick()
	})
	if err != nil {
		return err
	}
	defer in.close()
	rd.r.note(in.note)
	return in.readAs(k, rd.add)
}

// work tokenizes a batch.
// It runs in any of the workers and touches nothing but the batch.
func (r *runner) work(b *batch) {
	k := kinds[b.source.Kind]
	for i := range b.docs {
		d := &b.docs[i]
		// Only now: body may have moved while it grew.
		d.body = b.body[d.from:d.to:d.to]
		// For most kinds the document is its text.
		text := d.body
		if k.text != nil {
			text, d.use, d.err = k.text(b.source, &d.rawDoc)
		}
		d.body = nil
		d.encoded, d.tail = encoded{text: int64(len(text))}, encoded{}
		if d.err != nil || d.use != use || len(text) == 0 {
			continue
		}
		// Bytes of another encoding would be learned as what they are not.
		if at := invalidAt(text); at >= 0 && !k.anything {
			d.err = d.bad(0, notUTF8(text, at))
			continue
		}
		if len(text) > mostDoc {
			d.err = d.bad(0, fmt.Errorf("more than %d bytes in one document", mostDoc))
			continue
		}
		rest := text[len(text):]
		if b.split == splitPosition {
			at := splitAt(text, r.cfg.Validation)
			text, rest = text[:at], text[at:]
		}
		// A text that goes on in its tail does not end.
		d.encoded = r.encode(b, text, len(rest) == 0)
		d.tail = encoded{}
		if len(rest) > 0 {
			d.tail = r.encode(b, rest, true)
		}
	}
	b.done <- struct{}{}
}

// encode appends a text to the batch's ids. ends says that a document ends with
// it.
func (r *runner) encode(b *batch, text []byte, ends bool) (e encoded) {
	t := r.cfg.Tokenizer
	e.text = int64(len(text))
	// Of the text, not of the tokens: duplicates stay duplicates under
	// another tokenizer.
	sum := sha256.Sum256(text)
	copy(e.hash[:], sum[:])
	from := len(b.ids)
	if r.cfg.AddBOS {
		b.ids = append(b.ids, t.BOS())
	}
	first := len(b.ids)
	b.ids = t.Encode(b.ids, text)
	// Where documents may spell control tokens out, one that begins with BOS
	// or ends with EOS has it already.
	if r.cfg.AddBOS && len(b.ids) > first && b.ids[first] == t.BOS() {
		b.ids, first = slices.Delete(b.ids, from, first), from
	}
	// Bytes by the table, in which every token stands for the same text
	// wherever it is.
	known := int64(0)
	for _, id := range b.ids[first:] {
		if uint(id) < uint(len(r.tokenBytes)) { // Writer reports the others
			known += int64(r.tokenBytes[id])
		}
	}
	// What the table gets wrong at the beginning of a text, so that the
	// tokens of a document always stand for exactly its bytes.
	e.fix = int32(e.text - known)
	if len(b.ids) == first {
		e.text = 0 // no tokens: as good as empty
	}
	if r.cfg.AddEOS && ends && (len(b.ids) == first || b.ids[len(b.ids)-1] != t.EOS()) {
		b.ids = append(b.ids, t.EOS())
	}
	e.ids = [2]int{from, len(b.ids)}
	return e
}
