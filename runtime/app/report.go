package app

import (
	"encoding/json"
	"io"
	"sync"
	"time"
)

// reporter shows a training run. Its methods may be called from several
// goroutines: the one that trains and the one that hears Ctrl-C.
// There are two: screen for people and jsonReport for programs.
type reporter interface {
	start(h header)
	phase(what string, done, of int) // within a step: "training", "evaluating", "writing samples", "saving"
	step(p progress)
	sample(step, number int, path, text string)
	saved(step int, path string)
	note(msg string)
	done(s summary)
}

// header is what is known before the first step, as rows of name and value.
type header struct {
	title       string
	rows        [][2]string
	step, steps int // done, and of the whole run
}

// progress is a step that has ended.
type progress struct {
	record
	steps   int
	pace    float64       // tokens a second, smoothed over the last steps
	left    time.Duration // until the last step
	first   float64       // loss of the first step, which curves are drawn against
	lastVal *record       // newest record with a validation loss, nil if none
	best    bool          // its validation loss is the lowest so far
}

// summary ends a run.
type summary struct {
	finished   bool // all steps are done
	step       int
	steps      int
	tokens     int64
	took       time.Duration // in this process
	last       *record
	lastVal    *record
	checkpoint string
	best       string // checkpoint of the lowest validation loss, where it is another
	curve      string
	next       string // a command to call now
}

// jsonReport prints one object a line.
type jsonReport struct {
	mu sync.Mutex
	w  io.Writer
}

// emit prints an event; its kind is one of the fields.
func (j *jsonReport) emit(event string, fields map[string]any) {
	fields["event"] = event
	b, err := json.Marshal(fields)
	if err != nil {
		// A value that JSON cannot hold, such as an infinite loss: the event
		// still comes, and says so.
		b, _ = json.Marshal(map[string]string{"event": event, "error": err.Error()})
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	// One call, so that lines of two goroutines do not mix. An error is let
	// pass: a reader that went away must not end the training.
	j.w.Write(append(b, '\n'))
}

// start comes once, before the first step.
func (j *jsonReport) start(h header) {
	rows := map[string]string{}
	for _, r := range h.rows {
		rows[r[0]] = r[1]
	}
	j.emit("start", map[string]any{"title": h.title, "about": rows, "step": h.step, "steps": h.steps})
}

// phase is for a screen; events tell what has ended.
func (j *jsonReport) phase(string, int, int) {}

// step has the fields of metrics.jsonl, and how far the run is.
func (j *jsonReport) step(p progress) {
	// By way of JSON, so that both have the same names.
	b, err := json.Marshal(p.record)
	// The event is emitted in any case, so that whoever counts steps does not
	// lose one.
	if err != nil {
		j.emit("step", map[string]any{"error": err.Error()})
		return
	}
	fields := map[string]any{}
	json.Unmarshal(b, &fields) // its own output
	fields["steps"], fields["seconds_left"] = p.steps, p.left.Seconds()
	j.emit("step", fields)
}

// sample has the text itself: its reader may sit elsewhere.
func (j *jsonReport) sample(step, number int, path, text string) {
	j.emit("sample", map[string]any{"step": step, "number": number, "path": path, "text": text})
}

// saved is called checkpoint, which is what it tells of.
func (j *jsonReport) saved(step int, path string) {
	j.emit("checkpoint", map[string]any{"step": step, "path": path})
}

// note passes a sentence on.
func (j *jsonReport) note(msg string) { j.emit("note", map[string]any{"message": msg}) }

// done comes once, last.
func (j *jsonReport) done(s summary) {
	j.emit("done", map[string]any{"finished": s.finished, "step": s.step, "steps": s.steps, "tokens": s.tokens,
		"seconds": s.took.Seconds(), "checkpoint": s.checkpoint, "best": s.best, "curve": s.curve, "next": s.next})
}
