package data

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Set is an open prepared data set. It is read-only and safe for use by
// several goroutines.
type Set struct {
	Dir string
	Manifest
	sources    []source
	tokenBytes []uint16 // bytes of text per id
}

// source is one component of the mixture: two runs of tokens.
type source struct {
	name       string
	train, val run
}

// Open opens the set in dir. It checks the manifest, and of every shard the
// size and the header's checksum, counts and tokenizer; Verify checks the
// contents too.
func Open(dir string) (*Set, error) { return open(dir, true) }

func open(dir string, mapped bool) (*Set, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	s := &Set{Dir: dir, Manifest: *m}
	if err := s.openAll(mapped); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// openAll opens the files that the manifest names, and no others.
func (s *Set) openAll(mapped bool) error {
	if err := s.checkInputs(); err != nil {
		return err
	}
	if err := s.readTokenBytes(); err != nil {
		return err
	}
	for _, info := range s.Manifest.Sources {
		src := source{name: info.Name}
		// The source joins the set before its shards open, so that an error
		// half-way still closes them.
		s.sources = append(s.sources, src)
		p := &s.sources[len(s.sources)-1]
		for _, si := range info.Shards {
			sh, err := openShard(filepath.Join(s.Dir, filepath.FromSlash(si.File)), mapped)
			if err != nil {
				return err
			}
			if si.HeldOut {
				p.val.add(sh)
			} else {
				p.train.add(sh)
			}
			if err := s.agree(sh, si); err != nil {
				return err
			}
		}
	}
	return nil
}

// agree compares a shard's header with the manifest.
func (s *Set) agree(sh *Shard, si ShardInfo) error {
	t := s.Manifest.Tokenizer
	switch {
	// Another tokenizer first: it explains all the other differences.
	case sh.Tokenizer != t.Hash:
		return fileErr(sh.Path, 72, "made with tokenizer %s, the set with %s", short(sh.Tokenizer), short(t.Hash))
	case sh.Vocab != t.Vocab || sh.BOS != t.BOS || sh.EOS != t.EOS:
		return fileErr(sh.Path, 56, "vocabulary %d, BOS %d, EOS %d, but the set has %d, %d, %d", sh.Vocab, sh.BOS, sh.EOS, t.Vocab, t.BOS, t.EOS)
	// The header repeats the checksum of the contents, so a shard of another
	// set is found without reading it.
	case sumText(sh.Sum) != si.SHA256:
		return fileErr(sh.Path, 136, "checksum in the header is %x, the manifest says %s", sh.Sum[:8], short(si.SHA256))
	case sh.Size() != si.Size || sh.Docs != si.Docs || sh.Tokens != si.Tokens || sh.Bytes != si.Bytes:
		return fileErr(sh.Path, 16, "header counts %d documents, %d tokens, %d bytes; the manifest %d, %d, %d",
			sh.Docs, sh.Tokens, sh.Bytes, si.Docs, si.Tokens, si.Bytes)
	}
	return nil
}

// short cuts a hash down to what a person compares.
// 64 bits, which nobody mixes up by chance.
func short(hash string) string {
	if len(hash) > 16 {
		return hash[:16]
	}
	return hash
}

// readTokenBytes reads the table of the bytes of each id: it is small, so its
// whole checksum is compared.
func (s *Set) readTokenBytes() error {
	path := filepath.Join(s.Dir, TokenBytesFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	t := s.Manifest.Tokenizer
	if len(b) != 2*t.Vocab {
		return fileErr(path, -1, "%d bytes for a vocabulary of %d, want %d", len(b), t.Vocab, 2*t.Vocab)
	}
	if got := sumText(sha256.Sum256(b)); got != t.TokenBytes {
		return fileErr(path, 0, "checksum is %s, the manifest says %s", short(got), short(t.TokenBytes))
	}
	s.tokenBytes = make([]uint16, t.Vocab)
	for i := range s.tokenBytes {
		s.tokenBytes[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return nil
}

// CheckTokenizer returns an error unless the set was made with the tokenizer
// of this hash.
func (s *Set) CheckTokenizer(hash string) error {
	if hash == s.Tokenizer.Hash {
		return nil
	}
	return fileErr(filepath.Join(s.Dir, ManifestFile), -1, "the set was made with tokenizer %s, this one is %s: prepare it again",
		short(s.Tokenizer.Hash), short(hash))
}

// Verify reads every shard and compares all checksums. progress, if not nil,
// is told the bytes done and the bytes in all.
// It is the only check that costs as much as reading the set; opening one is
// instant.
func (s *Set) Verify(progress func(done, total int64)) error {
	var done, total int64
	// In the order of the manifest, which is that of the shards on the disk.
	each := func(f func(*Shard) error) error {
		for i := range s.sources {
			for _, r := range []*run{&s.sources[i].train, &s.sources[i].val} {
				for _, sh := range r.shards {
					if err := f(sh); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}
	// Twice over the shards: first for the total, which progress needs.
	each(func(sh *Shard) error { total += sh.Size(); return nil })
	return each(func(sh *Shard) error {
		if err := sh.Verify(); err != nil {
			return err
		}
		done += sh.Size()
		if progress != nil {
			progress(done, total)
		}
		return nil
	})
}

// Close unmaps the shards. Streams of the set must not be used afterwards.
func (s *Set) Close() error {
	var errs []error
	for i := range s.sources {
		for _, r := range []*run{&s.sources[i].train, &s.sources[i].val} {
			for _, sh := range r.shards {
				errs = append(errs, sh.Close())
			}
		}
	}
	s.sources = nil
	// Every shard is closed, whatever closing one before it gave.
	return errors.Join(errs...)
}

// Document is one document of a set.
type Document struct {
	Source  string
	Name    string
	HeldOut bool
	Bytes   int64
	Tokens  int64 // BOS and EOS included

	shard *Shard
	start int64
}

// Read appends the document's tokens to dst.
func (d *Document) Read(dst []int32) []int32 {
	n := len(dst)
	dst = append(dst, make([]int32, d.Tokens)...)
	d.shard.Read(d.start, dst[n:])
	return dst
}

// Documents calls f for every document in stored order, until f returns false.
func (s *Set) Documents(f func(*Document) bool) error {
	for i := range s.sources {
		src := &s.sources[i]
		for _, held := range []bool{false, true} {
			r := &src.train
			if held {
				r = &src.val
			}
			for _, sh := range r.shards {
				// One document at a time: names of a crawl do not fit into
				// memory either.
				for k := int64(0); k < sh.Docs; k++ {
					e, err := sh.Doc(k)
					if err != nil {
						return err
					}
					name, err := sh.DocName(k, e)
					if err != nil {
						return err
					}
					d := &Document{Source: src.name, Name: name, HeldOut: held, Bytes: int64(e.Bytes),
						Tokens: sh.start(k+1) - e.Start, shard: sh, start: e.Start}
					if d.Tokens < 0 || e.Start < 0 || e.Start+d.Tokens > sh.Tokens {
						return fileErr(sh.Path, sh.docsAt()+k*docSize, "entry of document %d is out of order", k)
					}
					if !f(d) {
						return nil
					}
				}
			}
		}
	}
	return nil
}

// sourceIndex finds a source by name.
func (s *Set) sourceIndex(name string) (int, error) {
	for i := range s.sources {
		if s.sources[i].name == name {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%s: the set has no source %q", s.Dir, name)
}
