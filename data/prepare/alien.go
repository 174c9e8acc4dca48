package prepare

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"
)

// alien is what a file is that is no text as a source reads it.
type alien struct {
	what string // "an xz archive"
	// What makes text of it. Only formats that hold text have one: such a file
	// is an error, since its text would be missing, while a picture in a folder of
	// text is left out.
	way string
}

const pointer = "a git-lfs pointer and not the file itself"

// magics are formats by the bytes at a place in the file.
var magics = []struct {
	at    int
	bytes string
	alien alien
}{
	{0, "\xfd7zXZ\x00", alien{"xz-compressed", "unpack it: xz -dk"}},
	{0, "\x04\x22\x4d\x18", alien{"lz4-compressed", "unpack it: lz4 -d"}},
	{0, "\x02\x21\x4c\x18", alien{"lz4-compressed", "unpack it: lz4 -d"}},
	{0, "LZIP\x01", alien{"lzip-compressed", "unpack it: lzip -dk"}},
	{0, "\x5d\x00\x00", alien{"lzma-compressed", "unpack it: xz -dk --format=lzma"}},
	{0, "\x1f\x9d", alien{"compressed by compress", "unpack it: gzip -dk"}},
	{0, "\xff\x06\x00\x00sNaPpY", alien{"snappy-compressed", "unpack it"}},
	{0, "PK\x03\x04", alien{"a zip archive", "unpack it: unzip"}},
	{0, "PK\x05\x06", alien{"an empty zip archive", "leave it out"}},
	{0, "7z\xbc\xaf\x27\x1c", alien{"a 7z archive", "unpack it: 7z x"}},
	{0, "Rar!\x1a\x07", alien{"a rar archive", "unpack it: unrar x"}},
	{257, "ustar", alien{"a tar archive", "unpack it: tar -xf"}},
	{0, "!<arch>\n", alien{"an ar archive", "unpack it: ar x"}},
	{0, "PAR1", alien{"a Parquet file", "write its text as JSON lines"}},
	{0, "ARROW1\x00\x00", alien{"an Arrow file", "write its text as JSON lines"}},
	{0, "Obj\x01", alien{"an Avro file", "write its text as JSON lines"}},
	{0, "\x89HDF\r\n\x1a\n", alien{"an HDF5 file", "write its text as JSON lines"}},
	{0, "SQLite format 3\x00", alien{"an SQLite database", "write its text as JSON lines"}},
	{0, "\x93NUMPY", alien{"a NumPy array", ""}},
	{0, "\x89PNG\r\n\x1a\n", alien{"a PNG picture", ""}},
	{0, "\xff\xd8\xff", alien{"a JPEG picture", ""}},
	{0, "GIF8", alien{"a GIF picture", ""}},
	{0, "RIFF", alien{"a RIFF file (WebP, WAV, AVI)", ""}},
	{0, "\x7fELF", alien{"an ELF binary", ""}},
	{0, "\xcf\xfa\xed\xfe", alien{"a Mach-O binary", ""}},
	{0, "%PDF-", alien{"a PDF", "write its text: pdftotext"}},
	{0, "version https://git-lfs.github.com/spec/", alien{pointer, "fetch it: git lfs pull"}},
}

// mostHead is how much of a file tells what it is.
const mostHead = 8000

// alienOf tells what a file is by its first bytes, decompressed; nil for text.
func alienOf(head []byte) *alien {
	binary := bytes.IndexByte(head, 0) >= 0 || !validText(head)
	for _, m := range magics {
		// Text about genes begins with PAR1 as well.
		if ascii := m.bytes[0] >= ' ' && m.bytes[0] < 0x7f; ascii && !binary && m.alien.what != pointer {
			continue
		}
		if len(head) >= m.at+len(m.bytes) && string(head[m.at:m.at+len(m.bytes)]) == m.bytes {
			return &m.alien
		}
	}
	if enc := wideEncoding(head); enc != "" {
		return &alien{"text in " + enc, "write it in UTF-8: iconv -f " + enc + " -t UTF-8"}
	}
	if i := bytes.IndexByte(head, 0); i >= 0 {
		return &alien{what: fmt.Sprintf("binary (a NUL at byte %d)", i)}
	}
	return nil
}

// wideEncoding names the encoding of text in units of two or four bytes: by its
// byte order mark, or by where the zeros stand, which in most text are at every
// second place, or at three of four.
func wideEncoding(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte{0xff, 0xfe, 0, 0}):
		return "UTF-32LE"
	case bytes.HasPrefix(head, []byte{0, 0, 0xfe, 0xff}):
		return "UTF-32BE"
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}):
		return "UTF-16LE"
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return "UTF-16BE"
	}
	n := len(head) &^ 3
	if n == 0 {
		n = len(head) &^ 1
	}
	var zeros [4]int
	for i, c := range head[:n] {
		if c == 0 {
			zeros[i%4]++
		}
	}
	quarter := max(n/4, 1)
	most, few := quarter*3/4, quarter/20
	switch z := zeros; {
	case n < 4:
	case z[1] > most && z[2] > most && z[3] > most && z[0] <= few:
		return "UTF-32LE"
	case z[0] > most && z[1] > most && z[2] > most && z[3] <= few:
		return "UTF-32BE"
	case z[1] > most && z[3] > most && z[0] <= few && z[2] <= few:
		return "UTF-16LE"
	case z[0] > most && z[2] > most && z[1] <= few && z[3] <= few:
		return "UTF-16BE"
	}
	return ""
}

// recognise looks at the beginning of the decompressed file. It fails for a
// file whose text is not to be had, and for one that its name calls compressed
// and that is neither that nor text.
func (in *input) recognise() error {
	head, err := in.r.Peek(mostHead)
	if len(head) == 0 {
		return nil // empty, or an error that reading will meet
	}
	in.alien = alienOf(head)
	if a := in.alien; a != nil && a.way != "" {
		inside := ""
		if in.packed {
			inside = ", inside of its compression,"
		}
		return in.bad(fmt.Errorf("is%s %s, and not text in UTF-8: %s, or leave it out with exclude", inside, a.what, a.way))
	}
	if !in.packed && err == nil || in.packed {
		return nil
	}
	for _, ext := range []string{".gz", ".zst", ".bz2", ".tgz"} {
		if strings.HasSuffix(in.file.path, ext) && (in.alien != nil || !validText(head)) {
			return in.fault(fmt.Errorf("starts with bytes % x, which is neither compressed data nor text", head[:min(4, len(head))]))
		}
	}
	return nil
}

// bad is an error about the file as a whole.
func (in *input) bad(err error) error { return &InputError{File: in.file.path, Offset: -1, Err: err} }

// validText reports whether text is UTF-8, save for a character that is cut at
// its end.
func validText(text []byte) bool { return invalidAt(text) < 0 }

// invalidAt is the place of the first byte that is not UTF-8, and -1 for none. A
// character that the end of the text cuts is none: head -c does that.
func invalidAt(text []byte) int {
	if utf8.Valid(text) {
		return -1
	}
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			if len(text)-i < utf8.UTFMax && !utf8.FullRune(text[i:]) {
				return -1
			}
			return i
		}
		i += n
	}
	return -1
}

// notUTF8 is the error about a text of another encoding.
func notUTF8(text []byte, at int) error {
	return fmt.Errorf("not UTF-8: byte 0x%02x at byte %d of the text, in line %d; if it is Latin-1, write it in UTF-8: iconv -f ISO-8859-1 -t UTF-8",
		text[at], at, 1+bytes.Count(text[:at], []byte("\n")))
}

// CheckText fails for a file that is no text as it stands: a folder, a compressed
// file, or a format or an encoding that its first bytes tell.
func CheckText(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("%s: not a file but a %s", path, fileType(st.Mode()))
	}
	in, err := openInput(&inputFile{path: path, size: -1}, nil)
	if err != nil {
		return err
	}
	defer in.close()
	if err := in.recognise(); err != nil {
		return err
	}
	switch {
	case in.packed:
		return in.bad(errors.New("is compressed: unpack it first"))
	case in.alien != nil:
		return in.bad(fmt.Errorf("is %s, and no text", in.alien.what))
	}
	return nil
}
