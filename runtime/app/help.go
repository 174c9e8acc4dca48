package app

import (
	"flag"
	"fmt"
	"strings"
)

// flagHelp lists the flags of a command in the style of llamac, from which they
// are known: --steps, and -n where the name is a letter. Both kinds may be
// written with one dash or two.
func flagHelp(fs *flag.FlagSet) string {
	var b strings.Builder
	fs.VisitAll(func(f *flag.Flag) {
		dashes := "--"
		if len(f.Name) == 1 {
			dashes = "-"
		}
		kind, doc := flag.UnquoteUsage(f)
		fmt.Fprintf(&b, "  %s%s", dashes, f.Name)
		if kind != "" { // of a switch
			fmt.Fprintf(&b, " %s", strings.ToUpper(kind))
		}
		fmt.Fprintf(&b, "\n      %s", doc)
		if f.DefValue != "" && f.DefValue != "false" {
			fmt.Fprintf(&b, " (default %s)", f.DefValue)
		}
		b.WriteByte('\n')
	})
	return b.String()
}
