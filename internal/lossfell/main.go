// Command lossfell checks that a training run learned something: the mean loss
// of the last quarter of its steps lies clearly below that of the first.
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

func run(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var losses []float64
	sc := bufio.NewScanner(f)
	for sc.Scan() {
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
	if len(losses) < 8 {
		return fmt.Errorf("%s: %d losses, too few to tell", path, len(losses))
	}
	k := len(losses) / 4
	first, last := mean(losses[:k]), mean(losses[len(losses)-k:])
	fmt.Printf("loss %.3f -> %.3f over %d steps\n", first, last, len(losses))
	if !(last < 0.9*first) {
		return fmt.Errorf("the loss did not fall by a tenth")
	}
	return nil
}

func mean(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s / float64(len(x))
}
