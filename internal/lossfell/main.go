// Command lossfell checks that a training run learned something: the mean loss
// of the last quarter of its steps lies clearly below that of the first.
//
// It is the last gate before a landing, behind all tests: real data, the real
// command, some twenty steps. From random weights the loss of such a run falls
// fast, and a tenth is far more than noise.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run reads metrics.jsonl, one object a line.
func run(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var losses []float64
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		// A pointer, so that a line without a loss is told from a loss of 0.
		var m struct{ Loss *float64 }
		if err := json.Unmarshal(sc.Bytes(), &m); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if m.Loss != nil {
			losses = append(losses, *m.Loss)
		}
	}
	if err := sc.Err(); err != nil {
		return err
	}
	// Two steps a quarter: with fewer a single easy batch decides.
	if len(losses) < 8 {
		return fmt.Errorf("%s: %d losses, too few to tell", path, len(losses))
	}
	// A quarter averages over batches of different difficulty.
	k := len(losses) / 4
	first, last := mean(losses[:k]), mean(losses[len(losses)-k:])
	// Shown in any case: a loss that falls less each week is worth seeing
	// before it fails.
	fmt.Printf("loss %.3f -> %.3f over %d steps\n", first, last, len(losses))
	// Written so that NaN fails too.
	if !(last < 0.9*first) {
		return fmt.Errorf("the loss did not fall by a tenth")
	}
	return nil
}

// mean of at least one number.
func mean(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s / float64(len(x))
}
