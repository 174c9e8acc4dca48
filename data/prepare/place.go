package prepare

import (
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

// place puts a unit's shard into the set: as it is, or without the documents
// that go.
// Documents keep their order, and shards their names, so that a set without
// duplicates has the bytes of its units.
func (f *finishing) place(p *part) (*data.ShardInfo, error) {
	path := filepath.Join(f.r.dir, p.info.File)
	if p.drops == 0 {
		info := *p.info
		return &info, f.r.link(p.shard, path)
	}
	// Written anew without the gaps: the reader knows nothing of dropped
	// documents, and a window must not hold one.
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
		// Grows to the longest document and stays.
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
// A hard link costs nothing, where a copy of a crawl's shards would take
// another terabyte.
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
	// Beside the shards, because bits per byte need it and the tokenizer may be
	// far away.
	table := encodeTokenBytes(r.tokenBytes)
	// Both are written even when they are there already, since they may be
	// left from a set of other input.
	m.Tokenizer = data.TokenizerInfo{Hash: h.Tokenizer, Vocab: h.Vocab, BOS: h.BOS, EOS: h.EOS,
		TokenBytes: fmt.Sprintf("%x", sha256.Sum256(table))}
	if err := r.writeWhole(filepath.Join(r.dir, data.TokenBytesFile), table); err != nil {
		return err
	}
	inputs := data.EncodeInputs(r.plan.inputs(r.cfg))
	m.Inputs = fmt.Sprintf("%x", sha256.Sum256(inputs))
	if err := r.writeWhole(filepath.Join(r.dir, data.InputsFile), inputs); err != nil {
		return err
	}
	b, err := m.Encode()
	if err != nil {
		return err
	}
	return r.writeWhole(filepath.Join(r.dir, data.ManifestFile), b)
}

// ours matches the files that a preparation makes, for any source, and what it
// leaves of the set's own files when it is killed while writing them.
// Anything else in the folder is the user's.
var ours = regexp.MustCompile(`^((\.tmp-)?[A-Za-z0-9_-]+-[0-9]{5,}\.(train\.tok|val\.tok|json)(-[0-9]+)?|\.tmp-(token-bytes\.bin|manifest\.json|inputs\.txt)-[0-9]+)$`)

// tidy removes the units and shards of earlier sets in this folder, and
// nothing that does not bear their names. The set is complete, so failing to
// is no failure.
func (r *runner) tidy(keep map[string]bool) {
	work := filepath.Join(r.dir, workDir)
	removeOurs(work, nil)
	os.Remove(work) // if nothing else is in it
	removeOurs(r.dir, keep)
}

// shardsOf are the files that a set consists of.
func shardsOf(m *data.Manifest) map[string]bool {
	keep := map[string]bool{}
	for _, s := range m.Sources {
		for _, sh := range s.Shards {
			keep[sh.File] = true
		}
	}
	return keep
}

// removeOurs removes a folder's files that a preparation made, save those to
// keep. Another job may be doing the same, so that errors mean nothing.
func removeOurs(dir string, keep map[string]bool) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if ours.MatchString(e.Name()) && !keep[e.Name()] {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
