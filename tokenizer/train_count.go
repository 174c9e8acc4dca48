package tokenizer

import (
	"bytes"
	"cmp"
	"context"
	"hash/maphash"
	"iter"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// Learning starts with counting words: stretches that start with a run of
// spaces, beyond which no piece reaches. Text is read in stretches of fixed
// size, whose lines workers count in parallel; words are dropped, if memory
// runs short, only between stretches. So the counts do not depend on the number
// of workers.

// wordCount is a distinct word and how often it occurs. Spaces are one byte.
//
// A word begins with its space, as pieces do, so that the same word in
// mid-sentence is one entry.
type wordCount struct {
	text  string
	count int64
}

const (
	countBatch = 1 << 20  // bytes that a worker takes at a time
	maxStretch = 64 << 20 // bytes between looks at the memory, at most
)

// What training takes in memory, in bytes, measured with what the garbage
// collector leaves lying: for each distinct word, for each byte of it (its text)
// and for each character (cells, places of pairs and their growth).
//
// The sums are estimates for the limit on memory, and decide which words stay:
// they are the same on every machine.
const (
	wordCost = 96
	byteCost = 4
	charCost = 28
)

// countWords reads all documents and returns the distinct words with their
// counts, most frequent first.
func countWords(ctx context.Context, docs iter.Seq2[[]byte, error], opt *TrainOptions, report *TrainReport) ([]wordCount, error) {
	// The normaliser of the tokenizer that is being made, so that training sees
	// text as encoding will.
	c := &counter{opt: opt, total: newWordTable()}
	for i := range c.norms {
		cfg := opt.config()
		switch lineKind(i) {
		case midWord:
			cfg.DummyPrefix = false
		case atSpace:
			// The space that the part begins with is the word's own, unless the
			// normaliser drops it.
			cfg.DummyPrefix = opt.RemoveExtraSpaces
		}
		c.norms[i] = &BPE{cfg: cfg}
	}
	for range opt.Workers {
		c.tables = append(c.tables, newWordTable())
		c.lines = append(c.lines, lineStats{})
	}
	c.start()
	defer c.stop()
	// An error ends the reading, but not before the workers are idle again.
	var failed error
	batch, stretch := make([]byte, 0, countBatch+1<<16), 0
	// Looks at the memory come more often where there is little of it.
	limit := int(min(max(opt.MaxMemory/16, countBatch), maxStretch))
	for doc, err := range docs {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			failed = err
			break
		}
		report.Bytes += int64(len(doc))
		for len(doc) > 0 {
			line := doc
			if i := bytes.IndexByte(doc, '\n'); i >= 0 {
				line = doc[:i]
			}
			doc = doc[min(len(line)+1, len(doc)):]
			kind := wholeLine
			if len(line) > opt.MaxLineLength {
				report.LongLines++
				report.LongBytes += int64(len(line))
				if !opt.CutLongLines {
					continue
				}
			}
			for {
				part, rest, next := cutLine(line, opt.MaxLineLength)
				batch = append(append(append(batch, byte(kind)), part...), '\n')
				if len(batch) >= countBatch {
					stretch += len(batch)
					c.work <- batch
					batch = <-c.free
					if stretch >= limit {
						c.merge(report)
						stretch = 0
					}
					opt.Progress(Progress{Phase: "read", Done: report.Bytes})
				}
				if len(rest) == 0 {
					break
				}
				line, kind = rest, next
			}
		}
	}
	// The last batch, which may be empty.
	c.work <- batch
	<-c.free
	c.merge(report)
	if failed != nil {
		return nil, failed
	}
	opt.Progress(Progress{Phase: "read", Done: report.Bytes, Total: report.Bytes})
	for _, s := range c.lines {
		report.Lines += s.read
		report.MarkedLines += s.marked
	}
	return c.total.words(), nil
}

// lineStats counts lines by what became of them.
type lineStats struct{ read, marked int64 }

// lineKind is how a line, or a part of one, begins.
type lineKind byte

const (
	wholeLine lineKind = iota
	atSpace            // goes on at a space
	midWord            // goes on within a word
	lineKinds
)

// cutLine cuts the first part off a line: all of it, or at most so many bytes, up
// to the last run of spaces that can begin a word, else up to a character.
func cutLine(line []byte, most int) (part, rest []byte, next lineKind) {
	if len(line) <= most {
		return line, nil, wholeLine
	}
	for i := most; i > 0; i-- {
		// A ▁ of the text counts as a space.
		if line[i] == ' ' && line[i-1] != ' ' && !bytes.HasSuffix(line[:i], []byte("▁")) {
			return line[:i], line[i:], atSpace
		}
	}
	n := most
	for n > 1 && n > most-utf8.UTFMax && !utf8.RuneStart(line[n]) {
		n--
	}
	return line[:n], line[n:], midWord
}

// counter hands batches of lines to workers, each with a table of its own.
type counter struct {
	// Buffers move in a circle, tables belong to a worker.
	opt    *TrainOptions
	norms  [lineKinds]*BPE // for their normalisers
	tables []*wordTable
	lines  []lineStats
	total  *wordTable
	work   chan []byte
	free   chan []byte
	done   sync.WaitGroup
}

// start starts the workers. There is one buffer for each of them and one for the
// reader; they go round through the two channels, so that memory stays the same
// however long the text is.
func (c *counter) start() {
	c.work, c.free = make(chan []byte), make(chan []byte, len(c.tables)+1)
	for i := range c.tables {
		c.free <- make([]byte, 0, countBatch+1<<16)
		c.done.Add(1)
		go func() {
			defer c.done.Done()
			for batch := range c.work {
				for rest := batch; len(rest) > 0; {
					n := 1 + bytes.IndexByte(rest[1:], '\n') // the first byte is the kind
					c.countLine(c.tables[i], &c.lines[i], lineKind(rest[0]), rest[1:n])
					rest = rest[n+1:]
				}
				c.free <- batch[:0]
			}
		}()
	}
}

// stop ends the workers and waits for them.
func (c *counter) stop() {
	close(c.work)
	c.done.Wait()
}

// merge adds the workers' tables to the total and drops words if the total has
// grown too large.
// Workers are idle then, so that their tables can be read without locks.
func (c *counter) merge(report *TrainReport) {
	// All workers are idle once all buffers but the reader's are back.
	var buffers [][]byte
	for range c.tables {
		buffers = append(buffers, <-c.free)
	}
	// Which worker counted a word differs from run to run, its count does not.
	for i, t := range c.tables {
		for j := range t.entries {
			e := &t.entries[j]
			c.total.add(t.text(e), e.hash, e.count)
		}
		c.tables[i].reset()
	}
	c.total.drop(c.opt.MaxMemory, report)
	for _, b := range buffers {
		c.free <- b
	}
}

// countLine counts the words of one line.
//
// Lines that hold SentencePiece's own mark are left out, as there.
func (c *counter) countLine(t *wordTable, stats *lineStats, kind lineKind, line []byte) {
	switch {
	case len(line) == 0:
		return
	case bytes.Contains(line, []byte(string(mark))):
		stats.marked++
		return
	}
	// The line is treated as a text to encode would be.
	if kind == wholeLine {
		stats.read++
	}
	buf := c.norms[kind].normalize(t.line[:0], line)
	// Special pieces in the text must not become pieces by merging.
	if bytes.IndexByte(buf, '<') >= 0 {
		buf = c.foldMeta(buf)
	}
	t.line = buf
	// A word starts with a space, or with a run of them where those may become
	// pieces; what stands before the first space is a word, too.
	for begin, i := 0, 1; i <= len(buf); i++ {
		if i == len(buf) || buf[i] == ' ' && (buf[i-1] != ' ' || !c.opt.SpaceOnlyPieces) {
			t.count(buf[begin:i])
			begin = i
		}
	}
}

// foldMeta turns special pieces that the text spells out into boundaries.
//
// It keeps apart what stands on both sides of it.
func (c *counter) foldMeta(b []byte) []byte {
	out := b[:0] // never longer than what has been read of b
	for i := 0; i < len(b); {
		n := 0
		if b[i] == '<' {
			n = c.metaLength(b[i:])
		}
		if n > 0 {
			out = append(out, boundary)
			i += n
			continue
		}
		out = append(out, b[i])
		i++
	}
	return out
}

// metaLength is the length of the special piece that b starts with, 0 for none.
func (c *counter) metaLength(b []byte) int {
	for _, s := range []string{"<unk>", "<s>", "</s>"} {
		if bytes.HasPrefix(b, []byte(s)) {
			return len(s)
		}
	}
	if c.opt.ByteFallback && len(b) >= 6 {
		if _, ok := byteOfPiece(string(b[:6])); ok {
			return 6
		}
	}
	return 0
}

// wordTable counts words. It is a hash table with open addressing over entries
// whose texts lie in one arena.
type wordTable struct {
	slots   []uint32 // number of an entry plus one, 0 for none
	entries []wordEntry
	arena   []byte
	size    int64  // bytes of all words together
	chars   int64  // and characters
	line    []byte // the line at hand, normalised
}

type wordEntry struct {
	hash  uint64
	count int64
	at    uint64
	size  uint32
}

// wordSeed only has to be the same within a process: no result depends on it.
var wordSeed = maphash.MakeSeed()

// newWordTable makes an empty table.
func newWordTable() *wordTable { return &wordTable{slots: make([]uint32, 1<<12)} }

// reset empties a table and keeps its memory for the next stretch.
func (t *wordTable) reset() {
	clear(t.slots)
	t.entries, t.arena, t.size, t.chars = t.entries[:0], t.arena[:0], 0, 0
}

// count counts a word once more.
func (t *wordTable) count(word []byte) { t.add(word, maphash.Bytes(wordSeed, word), 1) }

// add counts a word n times more.
func (t *wordTable) add(word []byte, hash uint64, n int64) {
	// Open addressing with linear steps, over a power of two.
	mask := uint64(len(t.slots) - 1)
	i := hash & mask
	for ; t.slots[i] != 0; i = (i + 1) & mask {
		e := &t.entries[t.slots[i]-1]
		if e.hash == hash && int(e.size) == len(word) && string(t.text(e)) == string(word) {
			e.count += n
			return
		}
	}
	t.entries = append(t.entries, wordEntry{hash, n, uint64(len(t.arena)), uint32(len(word))})
	t.arena = append(t.arena, word...)
	t.size += int64(len(word))
	t.chars += int64(utf8.RuneCount(word))
	t.slots[i] = uint32(len(t.entries))
	// At most three quarters full.
	if 4*len(t.entries) > 3*len(t.slots) {
		t.rehash(2 * len(t.slots))
	}
}

// rehash spreads the entries over more slots.
func (t *wordTable) rehash(size int) {
	t.slots = make([]uint32, size)
	mask := uint64(size - 1)
	for n := range t.entries {
		i := t.entries[n].hash & mask
		for t.slots[i] != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = uint32(n + 1)
	}
}

// cost estimates what training on the words will take, in bytes.
func (t *wordTable) cost() int64 {
	return int64(len(t.entries))*wordCost + t.size*byteCost + t.chars*charCost
}

// drop leaves out the rarest words until training fits into limit bytes with
// room to grow. Of words that are equally rare it keeps a sample, as many as fit:
// text without spaces may have hardly a word twice. Which ones stay is up to
// counts and texts alone, so that it does not depend on how the words came in.
func (t *wordTable) drop(limit int64, report *TrainReport) {
	if t.cost() <= limit {
		return
	}
	// Half of the limit, so that this does not come at every look.
	room := limit / 2
	// Words below least go first; if that is not enough, the limit doubles.
	for least := int64(2); t.cost() > limit; least *= 2 {
		// Rare words stay in order of their spread, until the room is taken.
		var rare []uint64
		left := room
		for i := range t.entries {
			e := &t.entries[i]
			if e.count < least {
				rare = append(rare, spread(t.text(e)))
			} else {
				left -= t.costOf(e)
			}
		}
		slices.Sort(rare)
		// What a rare word costs on average, of those that are there.
		mean := (t.cost() - (room - left)) / int64(max(len(rare), 1))
		threshold := uint64(0)
		// The n-th smallest spread is the threshold: n rare words lie below it,
		// whatever order they came in.
		if n := left / max(mean, 1); n > 0 {
			threshold = rare[min(n, int64(len(rare)-1))]
		}
		kept := newWordTable()
		for i := range t.entries {
			e := &t.entries[i]
			if word := t.text(e); e.count >= least || spread(word) < threshold {
				kept.add(word, e.hash, e.count)
				continue
			}
			report.DroppedWords++
			report.DroppedCount += e.count
		}
		*t = *kept
	}
}

// spread turns a word into 32 bits that say nothing of it, always the same
// (FNV-1a, with its lower bits mixed).
//
// maphash will not do, as its seed differs from process to process.
func spread(word []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, b := range word {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return (h ^ h>>29) * 0x9E3779B97F4A7C15 >> 32
}

// costOf is what one word costs.
func (t *wordTable) costOf(e *wordEntry) int64 {
	return wordCost + int64(e.size)*byteCost + int64(utf8.RuneCount(t.text(e)))*charCost
}

// text is the text of an entry.
func (t *wordTable) text(e *wordEntry) []byte { return t.arena[e.at : e.at+uint64(e.size)] }

// words returns the words, most frequent first, then by text.
func (t *wordTable) words() []wordCount {
	// One string for all words, of which each is a part.
	all := string(t.arena)
	words := make([]wordCount, len(t.entries))
	for i, e := range t.entries {
		words[i] = wordCount{all[e.at : e.at+uint64(e.size)], e.count}
	}
	slices.SortFunc(words, func(a, b wordCount) int {
		return cmp.Or(cmp.Compare(b.count, a.count), strings.Compare(a.text, b.text))
	})
	return words
}
