package app

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// record is what a step leaves in metrics.jsonl. The last three fields depend
// on the machine and the hour; all others are the same whenever, and in
// however many pieces, the run is made.
//
// Optional fields are pointers, so that a loss of 0 is not taken for none.
type record struct {
	Step        int      `json:"step"`
	Tokens      int64    `json:"tokens"` // trained on so far
	Loss        float64  `json:"loss"`   // nats per token, mean of the step's micro-batches
	LR          float64  `json:"lr"`
	GradNorm    float64  `json:"grad_norm"` // before clipping
	ValLoss     *float64 `json:"val_loss,omitempty"`
	BitsPerByte *float64 `json:"bits_per_byte,omitempty"` // of the held-out text
	Seconds     float64  `json:"seconds"`                 // of forward, backward and update
	TokensPerS  float64  `json:"tokens_per_s"`
	MFU         float64  `json:"mfu,omitempty"` // share of the measured FMA peak
}

// metrics is the run's log, in the file and in memory.
// The file is the truth, and history what it holds: the curve and the screen
// are drawn from it.
type metrics struct {
	path    string
	file    *os.File
	history []record
}

// openMetrics opens the log for a run that has done a number of steps. Lines
// of later steps, and one that a crash cut short, are dropped: the resumed run
// writes them again.
func openMetrics(path string, done int) (*metrics, error) {
	m := &metrics{path: path}
	keep, err := m.load(done)
	if err != nil {
		return nil, err
	}
	// Not O_APPEND: the file is cut to what is kept, and goes on from there.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, err
	}
	// In place, for who watches the file while it grows.
	if err = f.Truncate(keep); err == nil {
		_, err = f.Seek(keep, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	m.file = f
	return m, nil
}

// load reads the records up to step done and returns the length of the file
// that holds them.
func (m *metrics) load(done int) (int64, error) {
	f, err := os.Open(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	// keep is the end of the last good line.
	in, keep := bufio.NewReader(f), int64(0)
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF {
			return keep, nil // what is left has no end of line
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", m.path, bare(err))
		}
		var r record
		// Steps rise by one; what does not follow on is of no use behind the
		// place where it stands.
		if json.Unmarshal(line, &r) != nil || r.Step > done || len(m.history) > 0 && r.Step <= m.last().Step {
			return keep, nil
		}
		m.history = append(m.history, r)
		keep += int64(len(line))
	}
}

// last is the newest record; there must be one.
func (m *metrics) last() *record { return &m.history[len(m.history)-1] }

// add appends a line.
func (m *metrics) add(r record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("%s: step %d: %w", m.path, r.Step, err)
	}
	// A line is one call, so a kill leaves all of it or none, save for a full
	// disk.
	if _, err := m.file.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("%s: not written: %w", m.path, bare(err))
	}
	// In memory as well, for the curve.
	m.history = append(m.history, r)
	return nil
}

// sync brings the log to the disk: a checkpoint must not be newer than it.
func (m *metrics) sync() error {
	if err := m.file.Sync(); err != nil {
		return fmt.Errorf("%s: %w", m.path, bare(err))
	}
	return nil
}

// close may be called on a log that was never opened.
func (m *metrics) close() {
	if m.file != nil {
		m.file.Close()
	}
}
