package weights

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A pickle is a program for a stack machine, and Python's own reader lets it
// call anything: opening one is running it. This machine knows the instructions
// with which torch.save writes a dict of tensors and hands every name and every
// call to unpickleHooks, which know five; it has no other effect than the values
// that it returns. Instructions are those of CPython's Lib/pickletools.py, of
// protocols 2 to 5.

// Values are nil, bool, int64, string, these, and what the hooks return. Lists,
// sets, floats and bytes are missing: the dict has no use for them. Nothing walks through them, so
// that one which contains itself does no harm.
type (
	pyTuple  []any
	pyGlobal string // "module.name"
	// pyDict is a dict, or an OrderedDict. All keys are strings.
	pyDict struct {
		keys   []string // in the order in which they were set
		values map[string]any
	}
)

// unpickleHooks give meaning to names. The machine itself knows none, so that what
// a file can reach is what these functions do, and no more.
type unpickleHooks struct {
	global func(pyGlobal) error                              // refuses a name that is not known
	call   func(f pyGlobal, args pyTuple) (any, error)       // f was not refused
	load   func(persistentID pyTuple) (value any, err error) // of something outside the pickle
}

// Limits. The pickle of LLaMA 65B's largest file has a quarter of a megabyte;
// an instruction of one byte makes at most a hundred bytes of values.
const (
	maxPickle = 4 << 20
	maxStack  = 1 << 16
	maxMemo   = 1 << 18
)

// pickleError says at which byte of the pickle it was noticed: that of the
// instruction, as pickletools shows it.
type pickleError struct {
	at  int
	err error
}

func (e *pickleError) Error() string { return fmt.Sprintf("byte %d of the pickle: %v", e.at, e.err) }
func (e *pickleError) Unwrap() error { return e.err }

// unpickler is the machine.
type unpickler struct {
	hooks unpickleHooks
	rest  []byte // from the next instruction or argument on
	stack []any
	// marks are heights of the stack, from which later instructions collect.
	marks []int
	memo  map[uint32]any // values that are used again
}

// unpickle runs a pickle and returns its value. There are no loops and no jumps in
// the language: it ends at STOP, or with the pickle. What follows STOP is not
// read.
func unpickle(b []byte, hooks unpickleHooks) (any, error) {
	m := &unpickler{hooks: hooks, rest: b, memo: map[uint32]any{}}
	if len(b) > maxPickle {
		return nil, &pickleError{0, fmt.Errorf("it has %d bytes, more than %d", len(b), maxPickle)}
	}
	for {
		// A pickle without STOP ends in an error of take.
		at := len(b) - len(m.rest)
		op, err := m.take(1)
		if err == nil && op[0] == '.' { // STOP
			v, err := m.pop()
			if err != nil {
				return nil, &pickleError{at, err}
			}
			return v, nil
		}
		if err == nil {
			err = m.step(op[0])
		}
		if err != nil {
			return nil, &pickleError{at, err}
		}
	}
}

// step runs one instruction. Its comments are the names that pickletools has.
// Those of the same kind share a method, which tells them apart by their code.
func (m *unpickler) step(op byte) error {
	switch op {
	case 0x80: // PROTO
		// Earlier protocols are text and have instructions of their own.
		v, err := m.take(1)
		if err == nil && (v[0] < 2 || v[0] > 5) {
			return fmt.Errorf("protocol %d, not 2 to 5", v[0])
		}
		return err
	case 0x95: // FRAME: how many bytes a reader may take at once
		_, err := m.take(8)
		return err
	case '(': // MARK
		// Marks are kept apart from values, so they have a limit apart.
		if len(m.marks) == maxStack {
			return errStack
		}
		m.marks = append(m.marks, len(m.stack))
		return nil
	case 'N': // NONE
		return m.push(nil)
	case 0x88, 0x89: // NEWTRUE, NEWFALSE
		return m.push(op == 0x88)
	case 'K', 'M', 'J', 0x8a: // BININT1, BININT2, BININT, LONG1
		return m.number(op)
	case 'X', 0x8c: // BINUNICODE, SHORT_BINUNICODE
		s, err := m.text(op == 0x8c)
		return m.pushed(s, err)
	case ')', 0x85, 0x86, 0x87, 't': // EMPTY_TUPLE, TUPLE1, TUPLE2, TUPLE3, TUPLE
		return m.tuple(op)
	case '}': // EMPTY_DICT
		return m.push(&pyDict{})
	case 's', 'u': // SETITEM, SETITEMS
		return m.setItems(op == 'u')
	case 'q', 'r', 0x94, 'h', 'j': // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
		return m.remember(op)
	case 'c', 0x93: // GLOBAL, STACK_GLOBAL
		return m.global(op == 0x93)
	case 'Q', 'R', 'b': // BINPERSID, REDUCE, BUILD
		return m.apply(op)
	}
	// Among them those that build objects: INST, OBJ, NEWOBJ, NEWOBJ_EX, EXT.
	return fmt.Errorf("instruction %#02x, which no dict of tensors needs", op)
}

// What damaged and hostile pickles run into.
var (
	errStack     = fmt.Errorf("more than %d values on the stack", maxStack)
	errUnderflow = errors.New("the stack has too few values")
)

// take takes n bytes of the pickle. No length that it claims leads to memory.
func (m *unpickler) take(n uint32) ([]byte, error) {
	// Compared in 64 bits, where no length is negative.
	if uint64(n) > uint64(len(m.rest)) {
		return nil, errors.New("the pickle is cut off")
	}
	// A slice of the pickle; whoever keeps it makes a string of it.
	b := m.rest[:n]
	m.rest = m.rest[n:]
	return b, nil
}

// unsigned takes a little-endian number of up to 4 bytes.
func (m *unpickler) unsigned(bytes uint32) (uint32, error) {
	// After an error b is nil and the number 0.
	b, err := m.take(bytes)
	var x [4]byte
	copy(x[:], b)
	return binary.LittleEndian.Uint32(x[:]), err
}

// push is the only way on to the stack, and holds its limit.
func (m *unpickler) push(v any) error {
	if len(m.stack) == maxStack {
		return errStack
	}
	m.stack = append(m.stack, v)
	return nil
}

// pushed pushes what was read without an error.
func (m *unpickler) pushed(v any, err error) error {
	if err != nil {
		return err
	}
	return m.push(v)
}

// floor is the height of the last mark.
func (m *unpickler) floor() int {
	if n := len(m.marks); n > 0 {
		return m.marks[n-1]
	}
	return 0
}

// pop does not reach below the last mark: what lies there was begun before.
func (m *unpickler) pop() (any, error) {
	n := len(m.stack) - 1
	if n < m.floor() {
		return nil, errUnderflow
	}
	// The place keeps its value until the next push. A stack is short-lived.
	v := m.stack[n]
	m.stack = m.stack[:n]
	return v, nil
}

// popTuple pops a tuple, as arguments and persistent IDs are.
func (m *unpickler) popTuple() (pyTuple, error) {
	v, err := m.pop()
	if err != nil {
		return nil, err
	}
	// In Python a list would do as well; nobody writes one.
	t, ok := v.(pyTuple)
	if !ok {
		return nil, fmt.Errorf("%s where a tuple is expected", describe(v))
	}
	return t, nil
}

// collect pops the last n values, or with n < 0 those above the last mark. The
// result is valid until the next push.
func (m *unpickler) collect(n int) ([]any, error) {
	from := len(m.stack) - n
	// A mark is used up by the instruction that collects down to it.
	if n < 0 {
		last := len(m.marks) - 1
		if last < 0 {
			return nil, errors.New("there is no mark")
		}
		from, m.marks = m.marks[last], m.marks[:last]
	} else if from < m.floor() {
		return nil, errUnderflow
	}
	// from is at most the stack's height: pop and this function never go below a
	// mark that is left.
	items := m.stack[from:]
	m.stack = m.stack[:from]
	return items, nil
}

// number pushes an integer. Writers choose the shortest instruction, which says
// nothing of the type: all are int64 here.
func (m *unpickler) number(op byte) error {
	switch op {
	case 'K':
		n, err := m.unsigned(1)
		return m.pushed(int64(n), err)
	case 'M':
		n, err := m.unsigned(2)
		return m.pushed(int64(n), err)
	case 'J': // the only one of these with a sign
		n, err := m.unsigned(4)
		return m.pushed(int64(int32(n)), err)
	}
	// Any width; sizes of storages beyond 2^31 come with 5 bytes.
	n, err := m.unsigned(1)
	if err != nil {
		return err
	}
	b, err := m.take(n)
	if err != nil {
		return err
	}
	// Python's integers have any size; those of shapes and storages do not.
	if n > 8 {
		return fmt.Errorf("a number of %d bytes", n)
	}
	var x [8]byte
	copy(x[:], b)
	// The sign is that of the topmost byte there is.
	shift := 64 - 8*n
	return m.push(int64(binary.LittleEndian.Uint64(x[:])<<shift) >> shift)
}

// text reads a string whose length has one byte or four. One of 8 bytes exists, for
// strings longer than a pickle may be here.
func (m *unpickler) text(short bool) (string, error) {
	width := uint32(4)
	if short {
		width = 1
	}
	n, err := m.unsigned(width)
	if err != nil {
		return "", err
	}
	// UTF-8, or what a file makes of it: names are compared byte by byte.
	b, err := m.take(n)
	return string(b), err
}

// tuple collects up to three values, or all above the mark. Sizes and strides are
// tuples, and so are the arguments of calls.
func (m *unpickler) tuple(op byte) error {
	n := -1 // all above the mark
	switch op {
	case ')':
		n = 0
	case 0x85, 0x86, 0x87:
		n = int(op - 0x84)
	}
	items, err := m.collect(n)
	if err != nil {
		return err
	}
	return m.push(append(pyTuple{}, items...)) // a copy: the stack is used again
}

// setItems puts a key and a value, or all pairs above the mark, into the dict
// below.
func (m *unpickler) setItems(many bool) error {
	n := 2 // a key and its value
	if many {
		n = -1
	}
	items, err := m.collect(n)
	if err != nil {
		return err
	}
	// The dict stays on the stack. items are above it, in memory that nothing
	// overwrites before the end of this function.
	v, err := m.top()
	if err != nil {
		return err
	}
	d, ok := v.(*pyDict)
	if !ok || len(items)%2 != 0 {
		return fmt.Errorf("%d keys and values for %s", len(items), describe(v))
	}
	for i := 0; i < len(items); i += 2 {
		// Only strings: other keys would need Python's idea of equality.
		key, ok := items[i].(string)
		if !ok {
			return fmt.Errorf("%s as the key of a dict, not a string", describe(items[i]))
		}
		// Python lets the last win. torch.save does not write such a thing.
		if _, twice := d.values[key]; twice {
			return fmt.Errorf("the key %q is set twice", key)
		}
		// Made late: most dicts are the empty hooks of a tensor.
		if d.values == nil {
			d.values = map[string]any{}
		}
		d.keys, d.values[key] = append(d.keys, key), items[i+1]
	}
	return nil
}

// top is the value that the next pop gives.
func (m *unpickler) top() (any, error) {
	v, err := m.pop()
	if err != nil {
		return nil, err
	}
	m.stack = append(m.stack, v)
	return v, nil
}

// remember keeps the topmost value under a number, or pushes the one that has it.
func (m *unpickler) remember(op byte) (err error) {
	var i uint32
	switch op {
	case 'q', 'h':
		i, err = m.unsigned(1)
	case 'r', 'j':
		i, err = m.unsigned(4)
	default: // the next number
		i = uint32(len(m.memo))
	}
	if err != nil {
		return err
	}
	if op == 'h' || op == 'j' {
		// The same value again and not a copy: this is how a name or a tied weight
		// appears twice.
		v, ok := m.memo[i]
		if !ok {
			return fmt.Errorf("nothing was kept as %d", i)
		}
		return m.push(v)
	}
	v, err := m.top()
	if err != nil {
		return err
	}
	// A map, since numbers need not come in order: a slice as long as the largest
	// could be made of 16 GB by 6 bytes.
	if len(m.memo) == maxMemo {
		return fmt.Errorf("more than %d values are kept", maxMemo)
	}
	m.memo[i] = v
	return nil
}

// global pushes a name that the hooks know: two lines of text, or the two
// strings on the stack.
func (m *unpickler) global(fromStack bool) error {
	var parts [2]string // module and name
	// Protocols 2 and 3 write text, 4 and 5 use strings, which they can keep.
	if fromStack {
		items, err := m.collect(2)
		if err != nil {
			return err
		}
		for i, v := range items {
			s, ok := v.(string)
			if !ok {
				return fmt.Errorf("%s where a name is expected", describe(v))
			}
			parts[i] = s
		}
	} else {
		for i := range parts {
			s, err := m.line()
			if err != nil {
				return err
			}
			parts[i] = s
		}
	}
	// Where the dot stands between module and name cannot be told any more, and
	// need not be: the hooks compare with whole names.
	g := pyGlobal(parts[0] + "." + parts[1])
	// Refused here, before anything can be done with it.
	if err := m.hooks.global(g); err != nil {
		return err
	}
	return m.push(g)
}

// line takes text up to a line feed, which is not part of it.
func (m *unpickler) line() (string, error) {
	for i, c := range m.rest {
		if c == '\n' {
			s := string(m.rest[:i])
			m.rest = m.rest[i+1:]
			return s, nil
		}
	}
	return "", errors.New("the pickle is cut off")
}

// apply pops arguments and what they are for.
func (m *unpickler) apply(op byte) error {
	if op == 'Q' { // the value of a persistent ID
		id, err := m.popTuple()
		if err != nil {
			return err
		}
		// Tensors' bytes lie outside of the pickle, and this is the way to them.
		v, err := m.hooks.load(id)
		return m.pushed(v, err)
	}
	if op == 'b' { // attributes of an object: a module's _metadata, of no use here
		if _, err := m.pop(); err != nil {
			return err
		}
		v, err := m.top()
		if _, ok := v.(*pyDict); err == nil && !ok {
			return fmt.Errorf("attributes for %s", describe(v))
		}
		return err
	}
	// REDUCE: a function below its arguments. Only a name can be called, and only
	// one that was let through.
	args, err := m.popTuple()
	if err != nil {
		return err
	}
	f, err := m.pop()
	if err != nil {
		return err
	}
	g, ok := f.(pyGlobal)
	if !ok {
		return fmt.Errorf("a call of %s", describe(f))
	}
	v, err := m.hooks.call(g, args)
	return m.pushed(v, err)
}

// describe names a value's kind for messages, and not what it contains, which may
// be long or without an end.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "a bool"
	case int64:
		return "a number"
	case string:
		return "a string"
	case pyTuple:
		return fmt.Sprintf("a tuple of %d", len(v))
	case *pyDict:
		return "a dict"
	case pyGlobal:
		return string(v)
	}
	return fmt.Sprintf("%T", v)
}
