package data

import (
	"fmt"
	"os"
	"runtime/debug"
	"sync"
)

// region is read access to a whole file: memory-mapped where the system can,
// otherwise read piece by piece.
type region struct {
	mem []byte   // the mapping, nil when file is used
	f   *os.File // nil when mem is used
	n   int64

	path string // of the mapping, for errors
}

// pieces are the buffers for reading without a mapping, of pieceSize each.
var pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// pieceSize is a few pages: the buffer stays in the first-level cache, and a system call for
// each is little.
const pieceSize = 16 << 10

// openRegion opens a file of known size. With mapped false it never maps,
// which is how systems without mmap read (and how tests reach that path).
func openRegion(path string, size int64, mapped bool) (*region, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	// A mapping of nothing is an error on most systems.
	if mapped && canMap && size > 0 {
		mem, err := mapFile(f, size)
		f.Close() // the mapping stays
		if err != nil {
			return nil, &Error{File: path, Offset: -1, Msg: "cannot map it into memory", Err: err}
		}
		return &region{mem: mem, n: size, path: path}, nil
	}
	return &region{f: f, n: size}, nil
}

// close may be called again after a mapping was given back.
func (r *region) close() error {
	if r.mem != nil {
		mem := r.mem
		r.mem = nil
		return unmapFile(mem)
	}
	if r.f != nil {
		return r.f.Close()
	}
	return nil
}

// each calls f with successive pieces of the n bytes at off. Pieces are
// multiples of 8 bytes, except the last. The error is that of reading.
func (r *region) each(off, n int64, f func(b []byte)) error {
	if r.mem != nil {
		return r.touch(off, func() { f(r.mem[off : off+n]) })
	}
	buf := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(buf)
	for n > 0 {
		b := buf[:min(n, pieceSize)]
		if _, err := r.f.ReadAt(b, off); err != nil {
			return &Error{File: r.f.Name(), Offset: off, Err: err}
		}
		f(b)
		off += int64(len(b))
		n -= int64(len(b))
	}
	return nil
}

// at copies the bytes at off into b.
func (r *region) at(off int64, b []byte) error {
	if r.mem != nil {
		return r.touch(off, func() { copy(b, r.mem[off:off+int64(len(b))]) })
	}
	if _, err := r.f.ReadAt(b, off); err != nil {
		return &Error{File: r.f.Name(), Offset: off, Err: err}
	}
	return nil
}

// touch runs what reads the mapping. A page that is no longer behind it, since
// the file was cut or its disk has gone, would end the process; it becomes an
// error with the file's name.
func (r *region) touch(off int64, read func()) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		// A fault in memory has an address; all else is a bug and goes on.
		if _, fault := p.(interface{ Addr() uintptr }); !fault {
			panic(p)
		}
		at, msg := off, "cannot be read"
		if st, e := os.Stat(r.path); e == nil && st.Size() < r.n {
			at, msg = st.Size(), fmt.Sprintf("the file ends here, and had %d bytes when it was opened", r.n)
		}
		err = &Error{File: r.path, Offset: at, Msg: msg}
	}()
	read()
	return nil
}
