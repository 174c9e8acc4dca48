package prepare

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

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
	Aliens   []string        `json:"aliens,omitempty"` // the first few files that were left out as no text, and what they are
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

// metaPath is where the record of a unit stands.
func (r *runner) metaPath(u *unit) string {
	return filepath.Join(r.dir, workDir, u.name+".json")
}

// readMeta returns the record of a unit that is done, and nil for one that is
// not: without a record, or of another plan.
func (r *runner) readMeta(u *unit) *unitMeta {
	// Whatever is not as it should be means that the unit is done again: a
	// record is an offer to save work, and never a reason to fail.
	b, err := os.ReadFile(r.metaPath(u))
	if err != nil {
		return nil
	}
	m := new(unitMeta)
	// The key has everything in it that decides the unit's bytes.
	if json.Unmarshal(b, m) != nil || m.Key != r.plan.key {
		return nil
	}
	if m.BadDocs+m.BadFiles > 0 && !r.cfg.SkipBad {
		return nil // to fail on what that run skipped
	}
	// A copy of the folder may have lost a shard or cut it short. The header's
	// own checksum and the size show that, without reading the whole.
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

// unit does one unit: a goroutine reads, the workers tokenize, and this one
// writes the documents in the order they were read in.
//
// Memory is bounded by slots: a reader takes one for each batch and the unit
// gives it back once the batch is written, so that a unit with slow documents
// cannot fill the memory with what follows them.
func (r *runner) unit(ctx context.Context, u *unit) (m *unitMeta, err error) {
	ctx, cancel := context.WithCancel(ctx)
	// Room for every batch there can be, so that the reader never waits here
	// while it owns a slot that another unit needs.
	pending := make(chan *batch, cap(r.slots))
	rd := &reader{r: r, ctx: ctx, source: &r.cfg.Sources[u.source], split: r.plan.split[u.source], pending: pending}
	// Written by the reader before it closes pending, and read after that.
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
		// Batches finish in any order; the unit waits for each in its turn.
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
		// Its memory is free for the next.
		<-r.slots
		r.progress.tick()
	}
	// pending is closed, so the reader has set readErr. An end of reading
	// because of a cancelled context must not pass for the end of the unit.
	if readErr != nil {
		return nil, readErr
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return out.finish()
}
