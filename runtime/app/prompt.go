package app

import (
	"fmt"
	"io"
	"os"
	"runtime"
)

// mostPrompt bounds what is read of a file; no context is as long.
const mostPrompt = 64 << 20

// readPrompt reads the prompt that flags name and do not hold. Its bytes are
// taken as they are, a line's end at the end included: what is no UTF-8 is for
// the tokenizer, which has a piece for every byte.
func (e *env) readPrompt(f *generateFlags, given bool) error {
	flag, in := "--prompt=-", e.stdin
	switch {
	case f.promptFile != "" && f.promptFile != "-":
		flag = "--prompt-file=" + f.promptFile
		file, err := os.Open(f.promptFile)
		if err != nil {
			return usagef("%s: %v", flag, bare(err))
		}
		defer file.Close()
		if st, err := file.Stat(); err == nil && st.IsDir() {
			return usagef("%s: is a folder", flag)
		}
		in = file
	case f.promptFile == "-":
		flag = "--prompt-file=-"
	case f.prompt != "-":
		if !given && piped(e.stdin) {
			fmt.Fprintln(e.stderr, "warning: there is text on standard input, which is not read; --prompt - reads it")
		}
		return nil
	}
	if in == nil {
		return usagef("%s: there is no standard input", flag)
	}
	b, err := io.ReadAll(io.LimitReader(in, mostPrompt+1))
	if err != nil {
		return usagef("%s: %v", flag, bare(err))
	}
	if len(b) > mostPrompt {
		return usagef("%s: has more than %s", flag, size(mostPrompt))
	}
	f.prompt = string(b)
	return nil
}

// piped tells whether a file with something in it stands for standard input. Of
// a pipe nobody knows before reading, and programs are often started with one
// that stays empty.
func piped(in io.Reader) bool {
	f, ok := in.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode().IsRegular() && st.Size() > 0
}

// capWorkers takes no more workers than run at a time: they would wait for each
// other, at every kernel.
func (e *env) capWorkers(n int) int {
	if most := runtime.GOMAXPROCS(0); n > most {
		fmt.Fprintf(e.stderr, "warning: --workers=%d: %d run at a time here, and so many are taken\n", n, most)
		return most
	}
	return n
}
