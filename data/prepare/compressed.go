package prepare

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// mostWindow is the largest window of zstd that is read: what zstd itself reads
// when it is told --long=31. A file with a window of more than wideWindow, which
// zstd reads without being told, is read while no other such file is, so that
// eight units at once do not take eight times the memory.
const (
	mostWindow = 1 << 31
	wideWindow = 128 << 20
)

var wide sync.Mutex

// errTrailing is about bytes behind the end of compressed data.
var errTrailing = errors.New("bytes after the end of the compressed data, which begin no further part of it: the file was damaged, or something was appended")

// decompress puts a decompressor in front of the file if its first bytes ask for
// one. Names are not asked: files are renamed, and servers unpack.
func (in *input) decompress() error {
	head, _ := in.stored.Peek(10) // a short file gives what it has
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}): // RFC 1952
		z, err := gzip.NewReader(in.stored)
		if err != nil {
			return in.fault(err)
		}
		z.Multistream(false)
		in.close = func() { z.Close() }
		in.r = bufio.NewReaderSize(&sticky{r: &gzipMembers{z, in.stored}}, 1<<18)
	case isZstd(head):
		return in.zstd()
	case isBzip2(head):
		in.r = bufio.NewReaderSize(&sticky{r: bzip2.NewReader(in.stored)}, 1<<18)
	default:
		in.r = in.stored
		return nil
	}
	in.packed = true
	return nil
}

// zstd opens frames of zstd, end to end, with skippable ones between.
func (in *input) zstd() error {
	head, _ := in.stored.Peek(zstd.HeaderMaxSize)
	var h zstd.Header
	free := func() {}
	if h.Decode(head) == nil && h.WindowSize > wideWindow {
		if h.WindowSize <= mostWindow {
			in.note = fmt.Sprintf("%s: was compressed with zstd --long and takes %d MiB of memory to read", in.file.path, h.WindowSize>>20)
		}
		wide.Lock()
		free = wide.Unlock
	}
	// One goroutine: units are what runs side by side.
	z, err := zstd.NewReader(in.stored, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(mostWindow), zstd.WithDecoderMaxWindow(mostWindow))
	if err != nil {
		free()
		return in.fault(err)
	}
	in.close = func() { z.Close(); free() }
	in.r = bufio.NewReaderSize(&sticky{r: z}, 1<<18)
	in.packed = true
	return nil
}

// isZstd knows the magic of a frame and of a skippable frame (RFC 8878).
func isZstd(b []byte) bool {
	return bytes.HasPrefix(b, []byte{0x28, 0xb5, 0x2f, 0xfd}) ||
		len(b) >= 4 && b[0]&0xf0 == 0x50 && bytes.Equal(b[1:4], []byte{0x2a, 0x4d, 0x18})
}

// isBzip2 knows the head of a stream: a level, and the magic of a block or of the
// end of an empty stream. Text may begin with the first three letters.
func isBzip2(b []byte) bool {
	return len(b) >= 10 && string(b[:3]) == "BZh" && '1' <= b[3] && b[3] <= '9' &&
		(string(b[4:10]) == "1AY&SY" || string(b[4:10]) == "\x17\x72\x45\x38\x50\x90")
}

// gzipMembers reads members that stand end to end, as Common Crawl's files do,
// and passes over zeros behind a member, which tapes and block devices leave and
// gzip passes over too.
type gzipMembers struct {
	z      *gzip.Reader
	stored *bufio.Reader
}

func (g *gzipMembers) Read(b []byte) (int, error) {
	for {
		n, err := g.z.Read(b)
		if err != io.EOF {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
		if err := g.next(); err != nil {
			return 0, err
		}
	}
}

// next begins the next member, or ends with io.EOF.
func (g *gzipMembers) next() error {
	for {
		c, err := g.stored.ReadByte()
		if err != nil {
			return err
		}
		if c == 0 {
			continue
		}
		if err := g.stored.UnreadByte(); err != nil {
			return err
		}
		break
	}
	if head, _ := g.stored.Peek(2); !bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return errTrailing
	}
	if err := g.z.Reset(g.stored); err != nil {
		return err
	}
	g.z.Multistream(false)
	return nil
}

// sticky repeats an error. A look ahead may meet it first, and bzip2's reader
// would go on behind it.
type sticky struct {
	r   io.Reader
	err error
}

func (s *sticky) Read(b []byte) (n int, err error) {
	if s.err == nil {
		n, s.err = s.r.Read(b)
	}
	return n, s.err
}

// explain says in the words of a user what a decompressor found.
func (in *input) explain(err error) error {
	var bz bzip2.StructuralError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("compressed data is cut short: %w", err)
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return fmt.Errorf("needs a window of more than %d MiB, the limit here and of zstd --long=31: compress it again with a smaller window", mostWindow>>20)
	case errors.Is(err, zstd.ErrMagicMismatch), errors.As(err, &bz) && strings.Contains(bz.Error(), "continuation file"):
		return errTrailing
	}
	return err
}
