package weights

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strconv"

	"github.com/llamac/llamac/runtime/model"
)

// Checkpoint is what a training run needs besides its arenas to go on as if
// it had never stopped. Random numbers and data are functions of the seed and
// of a position, so a number stands for the state of either.
type Checkpoint struct {
	Name      string // of the model
	SpecHash  string
	Spec      string // the evaluated spec, JSON; empty in files of earlier versions
	Version   string // of the llamac that wrote it
	Step      int    // optimiser steps done
	Steps     int    // steps that the run is to take
	Sequences int64  // training sequences read: the number of the next one
	Seed      uint64
	Data      string // identity of the data set
	Tokenizer string // hash of the tokenizer
	Ends      string // ids that end a text, as of tokenizer.FormatEnds; empty in files of earlier versions

	// Vocabulary is the tokenizer's file, as tokenizer.Content gives it; empty
	// for bytes, and in checkpoints of earlier versions. A file has some dozen
	// bytes a piece where the embedding and its moments have 12·dim, so that it
	// is always worth its place.
	Vocabulary string
}

// A checkpoint file is a safetensors file, so that other tools open it: the
// weights under the model's own names, Adam's moments under prefixed names,
// the state and a SHA-256 of everything else as metadata. The digest stands at
// a fixed place, first in the header, and counts as zeros in itself.
const (
	checkpointKey     = "llamac.checkpoint"
	checkpointVersion = "1"
	firstMoment       = "adam.m."
	secondMoment      = "adam.v."
	vocabularyTensor  = "llamac.tokenizer" // the bytes of a file, as U8
	maxVocabulary     = 256 << 20          // bytes
	digestPrefix      = `{"__metadata__":{"sha256":"`
	digestAt          = 8 + int64(len(digestPrefix))
	digestLen         = 2 * sha256.Size
)

// SpecError is a good checkpoint of another model or run.
// It is apart from FormatError, because going on with an older checkpoint helps
// against damage and not against this.
type SpecError struct {
	Path string
	Msg  string
}

// Error names the file first, as all errors of files do.
func (e *SpecError) Error() string { return e.Path + ": " + e.Msg }

// Output is where a checkpoint is written: an *os.File, or a test's.
type Output interface {
	io.Writer
	io.WriterAt
}

// WriteCheckpoint writes a whole checkpoint. The arenas are laid out by
// info.Weights; what lies between weights is not stored.
func WriteCheckpoint(w Output, info model.Info, c Checkpoint, params, m, v []float32) error {
	head := checkpointHeader(info, c)
	sum := sha256.New()
	// The digest is computed on the way: the file is not read again.
	out := io.MultiWriter(w, sum)
	if _, err := out.Write(head); err != nil {
		return err
	}
	buf := make([]byte, chunk)
	// In the order of the header, each arena whole: weights first, so that a
	// reader that wants no moments reads a prefix.
	for _, arena := range [][]float32{params, m, v} {
		for i := range info.Weights {
			wt := &info.Weights[i]
			for x := arena[wt.Offset : wt.Offset+wt.Len()]; len(x) > 0; {
				n := min(len(x), chunk/4)
				encode(buf, x[:n])
				if _, err := out.Write(buf[:4*n]); err != nil {
					return err
				}
				x = x[n:]
			}
		}
	}
	if _, err := io.WriteString(out, c.Vocabulary); err != nil {
		return err
	}
	// Last: a file that was cut short has zeros here, and verifies as damaged.
	_, err := w.WriteAt([]byte(hex.EncodeToString(sum.Sum(nil))), digestAt)
	return err
}

// CheckpointSize is the number of bytes of a checkpoint's tensors.
func CheckpointSize(info model.Info) int64 {
	n := int64(0)
	for i := range info.Weights {
		// A weight and two moments of 4 bytes.
		n += 12 * int64(info.Weights[i].Len())
	}
	return n
}

// checkpointHeader returns the length and the header, its digest all zeros,
// padded so that the data begin at a multiple of 8.
func checkpointHeader(info model.Info, c Checkpoint) []byte {
	var b bytes.Buffer
	b.Write(make([]byte, 8))
	// JSON has no order, but this writer has: the digest is found at its place
	// without parsing.
	b.WriteString(digestPrefix)
	b.Write(bytes.Repeat([]byte{'0'}, digestLen))
	b.WriteByte('"')
	for _, kv := range [][2]string{
		{checkpointKey, checkpointVersion},
		{"name", c.Name}, {"spec", c.SpecHash}, {"version", c.Version},
		{"step", strconv.Itoa(c.Step)}, {"steps", strconv.Itoa(c.Steps)},
		{"sequences", strconv.FormatInt(c.Sequences, 10)}, {"seed", strconv.FormatUint(c.Seed, 10)},
		{"data", c.Data}, {"tokenizer", c.Tokenizer}, {"ends", c.Ends}, {"spec_json", c.Spec},
	} {
		if (kv[0] == "spec_json" || kv[0] == "ends") && kv[1] == "" {
			continue
		}
		// All values are strings, which is all that safetensors' metadata may
		// hold.
		fmt.Fprintf(&b, ",%s:%s", quote(kv[0]), quote(kv[1]))
	}
	b.WriteByte('}')
	// Counted from the data's start, as the format has it.
	offset := int64(0)
	for _, prefix := range []string{"", firstMoment, secondMoment} {
		for i := range info.Weights {
			w := &info.Weights[i]
			shape, _ := json.Marshal(w.Shape) // integers: never fails
			end := offset + 4*int64(w.Len())
			fmt.Fprintf(&b, `,%s:{"dtype":"F32","shape":%s,"data_offsets":[%d,%d]}`, quote(prefix+w.Name), shape, offset, end)
			offset = end
		}
	}
	// Behind all that is read as float32, whose places stay multiples of 4.
	if n := int64(len(c.Vocabulary)); n > 0 {
		fmt.Fprintf(&b, `,%s:{"dtype":"U8","shape":[%d],"data_offsets":[%d,%d]}`, quote(vocabularyTensor), n, offset, offset+n)
	}
	b.WriteByte('}')
	// The tensors can then be mapped and read as float32 in place.
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	head := b.Bytes()
	binary.LittleEndian.PutUint64(head, uint64(len(head)-8))
	return head
}

// quote prints a JSON string.
// Go's %q is not JSON for every string.
func quote(s string) string {
	b, _ := json.Marshal(s) // a string: never fails
	return string(b)
}

// ReadCheckpoint verifies a checkpoint and reads its arenas; m and v may be
// nil when only the weights are wanted. A file that does not verify, or holds
// numbers that are not finite, is a *FormatError, one that verifies but belongs
// to another model a *SpecError; after either the arenas hold anything. Specs
// that differ in fields which leave the meaning of weights alone are one model.
func ReadCheckpoint(path string, info model.Info, params, m, v []float32) (Checkpoint, error) {
	s, c, err := openCheckpoint(path)
	if err != nil {
		return c, err
	}
	defer s.Close()
	sum, err := s.startDigest()
	if err != nil {
		return c, err
	}
	// What is still wanted; empty for another model, whose file is read and
	// judged all the same.
	into := map[string][]float32{}
	other := sameModel(path, c.Name, c.SpecHash, c.Spec, info)
	if other == nil {
		for i := range info.Weights {
			w := &info.Weights[i]
			for prefix, arena := range map[string][]float32{"": params, firstMoment: m, secondMoment: v} {
				if arena != nil {
					into[prefix+w.Name] = arena[w.Offset : w.Offset+w.Len()]
				}
			}
		}
	}
	buf := make([]byte, chunk)
	// Reported only once the checksum is known to hold: damage is the better
	// explanation of a shape that does not fit.
	var shape error
	for _, t := range s.tensors {
		dst, ok := into[t.Name]
		// Whether or not it fits: it is there.
		delete(into, t.Name)
		if ok && (t.DType != F32 || t.Len() != len(dst)) {
			shape = &SpecError{path, fmt.Sprintf("tensor %q has shape %v, the model wants %d elements", t.Name, t.Shape, len(dst))}
			ok = false
		}
		// Every byte goes through the digest, also of tensors that nobody
		// wants.
		for at := t.begin; at < t.end; {
			b := buf[:min(chunk, t.end-at)]
			if _, err := s.f.ReadAt(b, s.data+at); err != nil {
				return c, bad(path, s.data+at, "reading %d bytes: %v", len(b), err)
			}
			sum.Write(b)
			if ok {
				n := len(b) / 4
				decode(dst[:n], b, F32)
				dst = dst[n:]
			}
			at += int64(len(b))
		}
	}
	switch {
	// First, since nothing else of a damaged file can be believed.
	case hex.EncodeToString(sum.Sum(nil)) != s.metadata["sha256"]:
		return c, bad(path, digestAt, "the checksum does not match the content")
	case other != nil:
		return c, other
	case shape != nil:
		return c, shape
	}
	// One is enough to name.
	for name := range into {
		return c, &SpecError{path, fmt.Sprintf("no tensor %q", name)}
	}
	return c, CheckFinite(path, info, params, m, v)
}

// VerifyCheckpoint reads a file and compares its checksum.
func VerifyCheckpoint(path string) error {
	s, _, err := openCheckpoint(path)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.verify()
}

// ReadCheckpointState reads the state without the arenas and without
// verifying the checksum.
// It is for looking, as in a list of checkpoints; who goes on from one uses
// ReadCheckpoint.
func ReadCheckpointState(path string) (Checkpoint, error) {
	s, c, err := openCheckpoint(path)
	if err != nil {
		return c, err
	}
	return c, s.Close()
}

// openCheckpoint opens a file and reads its header; the checksum is not verified.
// The file is closed again after an error.
func openCheckpoint(path string) (*safetensors, Checkpoint, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, Checkpoint{}, err
	}
	s, c, err := parseCheckpoint(path, f)
	if err != nil {
		f.Close()
	}
	return s, c, err
}

// parseCheckpoint reads the state from the metadata. Numbers are strings there,
// as safetensors wants it.
func parseCheckpoint(path string, f *os.File) (*safetensors, Checkpoint, error) {
	var c Checkpoint
	st, err := f.Stat()
	if err != nil {
		return nil, c, err
	}
	s, err := openSafetensors(path, f, st.Size())
	if err != nil {
		return nil, c, err
	}
	// Unknown keys are let pass: a later version may add some that change
	// nothing for this one.
	md := s.metadata
	switch md[checkpointKey] {
	case checkpointVersion:
	case "":
		return nil, c, bad(path, 8, "this safetensors file is no llamac checkpoint")
	default:
		return nil, c, bad(path, 8, "a checkpoint of version %s; this llamac reads version %s", md[checkpointKey], checkpointVersion)
	}
	c = Checkpoint{Name: md["name"], SpecHash: md["spec"], Spec: md["spec_json"], Version: md["version"], Data: md["data"], Tokenizer: md["tokenizer"], Ends: md["ends"]}
	// A number that is missing is an error of strconv too.
	var errs [4]error
	c.Step, errs[0] = strconv.Atoi(md["step"])
	c.Steps, errs[1] = strconv.Atoi(md["steps"])
	c.Sequences, errs[2] = strconv.ParseInt(md["sequences"], 10, 64)
	c.Seed, errs[3] = strconv.ParseUint(md["seed"], 10, 64)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, c, bad(path, 8, "header: %v", err)
	}
	c.Vocabulary, err = s.vocabulary()
	return s, c, err
}

// vocabulary reads the tokenizer's file, "" if there is none in the checkpoint.
func (s *safetensors) vocabulary() (string, error) {
	i, ok := s.at[vocabularyTensor]
	if !ok {
		return "", nil
	}
	t := s.tensors[i]
	if n := t.end - t.begin; t.DType != "U8" || int64(t.Len()) != n || n > maxVocabulary {
		return "", bad(s.path, s.data+t.begin, "tensor %q of type %s and shape %v is no file of at most %d bytes", t.Name, t.DType, t.Shape, maxVocabulary)
	}
	b := make([]byte, t.end-t.begin)
	if _, err := s.f.ReadAt(b, s.data+t.begin); err != nil {
		return "", bad(s.path, s.data+t.begin, "reading %d bytes: %v", len(b), err)
	}
	return string(b), nil
}

// startDigest begins the checksum with all bytes before the data.
func (s *safetensors) startDigest() (hash.Hash, error) {
	// The header's length was bounded when it was parsed.
	head := make([]byte, s.data)
	if _, err := s.f.ReadAt(head, 0); err != nil {
		return nil, bad(s.path, 0, "reading the header: %v", err)
	}
	// A safetensors file that another tool has written anew has its keys in
	// another order: it holds the same numbers, but no proof of it.
	if !bytes.HasPrefix(head[8:], []byte(digestPrefix)) || int64(len(head)) < digestAt+digestLen {
		return nil, bad(s.path, 8, "a checkpoint's header must begin with its checksum")
	}
	for i := range digestLen {
		head[digestAt+int64(i)] = '0'
	}
	sum := sha256.New()
	sum.Write(head)
	return sum, nil
}

// verify compares the checksum with the content.
func (s *safetensors) verify() error {
	sum, err := s.startDigest()
	if err != nil {
		return err
	}
	end := s.data
	if n := len(s.tensors); n > 0 {
		end += s.tensors[n-1].end
	}
	if _, err := io.Copy(sum, io.NewSectionReader(s.f, s.data, end-s.data)); err != nil {
		return bad(s.path, s.data, "%v", err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != s.metadata["sha256"] {
		return bad(s.path, digestAt, "the checksum does not match the content")
	}
	return nil
}
