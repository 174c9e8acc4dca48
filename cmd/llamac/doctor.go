package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/llamac/llamac/internal/compile"
	"github.com/llamac/llamac/internal/gobuild"
	"github.com/llamac/llamac/runtime/cpu"
)

// doctorCmd prints what decides how llamac will work on this machine: a report
// of a problem begins with it. Each line is what, what was found, and what that
// means.
type doctorCmd struct{}

func (doctorCmd) Run() error {
	// Three columns.
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	row := func(what, found, means string) { fmt.Fprintf(w, "%s\t%s\t%s\n", what, found, means) }
	row("llamac", compile.Version, runtime.Version()+", "+runtime.GOOS+"/"+runtime.GOARCH)
	// Asked, not looked for: a go that does not start is none.
	if out, err := exec.Command("go", "version").Output(); err == nil {
		row("go toolchain", strings.TrimPrefix(strings.TrimSpace(string(out)), "go version "), "build and train will use it")
	} else {
		row("go toolchain", "not found", "compile works; build and train need it")
	}
	row("processors", fmt.Sprint(runtime.GOMAXPROCS(0)), "workers of a run, unless --workers says otherwise")
	// As a run will make it, LLAMAC_ISA included.
	d := cpu.New(0)
	defer d.Close()
	means := isaMeaning(d.ISA())
	if isa := os.Getenv("LLAMAC_ISA"); isa != "" {
		means = "chosen by LLAMAC_ISA=" + isa
	}
	row("kernels", d.ISA(), means)
	// Measured now, in a fraction of a second: nominal clocks say little about
	// a shared machine.
	one, _ := cpu.PeakFLOPS(1)
	all, steady := cpu.PeakFLOPS(runtime.GOMAXPROCS(0))
	means = "f32 multiply-adds in registers; MFU is counted against it"
	if !steady {
		means = "f32 multiply-adds in registers; the machine is busy and may be capable of more, so a run now would show no MFU"
	}
	row("peak, measured", fmt.Sprintf("%.0f GFLOP/s on one, %.0f on all", one/1e9, all/1e9), means)
	if dir, err := gobuild.CacheDir(); err == nil {
		row("cache", dir, "built programs and prepared data; LLAMAC_CACHE moves it")
	} else {
		row("cache", "none", err.Error())
	}
	// Said, because a machine with one invites the question.
	row("GPU", "not used", "this version generates code for the CPU")
	return w.Flush()
}

// isaMeaning explains an instruction set, and how to choose another one:
// comparing them tells a kernel's fault from another.
func isaMeaning(isa string) string {
	switch isa {
	case "avx512":
		return "assembly with 512-bit registers; LLAMAC_ISA=avx2 or portable chooses others"
	case "avx2":
		return "assembly with 256-bit registers; LLAMAC_ISA=portable chooses plain Go"
	}
	return "plain Go: no assembly for this processor"
}
