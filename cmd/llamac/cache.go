package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/llamac/llamac/internal/gobuild"
)

// cacheCmd looks after the cache folder. Everything in it can be made again, at
// the price of the time that it took.
type cacheCmd struct {
	List  cacheListCmd  `cmd:"" default:"withargs" help:"List built programs, data sets and learned vocabularies."`
	Clean cacheCleanCmd `cmd:"" help:"Remove them, save what a running program uses."`
}

// cacheListCmd shows what is there, the longest unused first, and what it takes.
type cacheListCmd struct {
	JSON bool `help:"Print the list as JSON." name:"json"`
}

// Help is the text behind --help.
func (cacheListCmd) Help() string {
	return "The cache is a folder of the user's, which llamac doctor shows and LLAMAC_CACHE moves. Of built programs the 32 that were used " +
		"last are kept, and all of the last hour; data sets and vocabularies stay until llamac cache clean."
}

func (c *cacheListCmd) Run() error {
	dir, list, err := cacheEntries()
	if err != nil {
		return err
	}
	if c.JSON {
		type row struct {
			Kind  string    `json:"kind"`
			Name  string    `json:"name"`
			Path  string    `json:"path"`
			Bytes int64     `json:"bytes"`
			Used  time.Time `json:"used"`
		}
		rows := []row{} // an empty list is one too
		for _, e := range list {
			rows = append(rows, row(e))
		}
		return printJSON(map[string]any{"dir": dir, "entries": rows})
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, e := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", e.Kind, e.Name, size(e.Bytes), ago(time.Since(e.Used)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s in %s\n", total(list), dir)
	return nil
}

// cacheCleanCmd removes entries. Without a kind it takes all of them.
type cacheCleanCmd struct {
	OlderThan  string `help:"Only what was not used for so long: 30d, 12h, 2w." placeholder:"TIME"`
	Builds     bool   `help:"Built programs."`
	Data       bool   `help:"Prepared data sets."`
	Tokenizers bool   `help:"Learned vocabularies."`
	DryRun     bool   `help:"Only say what would be removed."`
}

func (c *cacheCleanCmd) Run() error {
	least, err := duration(c.OlderThan)
	if err != nil {
		return err
	}
	var kinds []string
	for kind, chosen := range map[string]bool{"build": c.Builds, "data": c.Data, "tokenizer": c.Tokenizers} {
		if chosen {
			kinds = append(kinds, kind)
		}
	}
	dir, list, err := cacheEntries()
	if err != nil {
		return err
	}
	// Apart, so that the sum is that of what went.
	var removed, used []gobuild.Entry
	for _, e := range list {
		if len(kinds) > 0 && !slices.Contains(kinds, e.Kind) || time.Since(e.Used) < least {
			continue
		}
		done := !e.Held()
		if done && !c.DryRun {
			if done, err = e.Remove(); err != nil {
				return err
			}
		}
		if done {
			removed = append(removed, e)
		} else {
			used = append(used, e)
		}
	}
	verb := "removed"
	if c.DryRun {
		verb = "would remove"
	}
	for _, e := range removed {
		fmt.Fprintf(stdout, "%s %s %s, %s, %s\n", verb, e.Kind, e.Name, size(e.Bytes), ago(time.Since(e.Used)))
	}
	for _, e := range used {
		fmt.Fprintf(stdout, "left %s %s, which a running program uses\n", e.Kind, e.Name)
	}
	fmt.Fprintf(stdout, "%s %s from %s\n", verb, total(removed), dir)
	return nil
}

// cacheEntries lists the cache of this user.
func cacheEntries() (dir string, list []gobuild.Entry, err error) {
	if dir, err = gobuild.CacheDir(); err == nil {
		list, err = gobuild.Entries(dir)
	}
	return dir, list, err
}

// total counts entries and their bytes.
func total(list []gobuild.Entry) string {
	var bytes int64
	for _, e := range list {
		bytes += e.Bytes
	}
	if len(list) == 1 {
		return "1 entry, " + size(bytes)
	}
	return fmt.Sprintf("%d entries, %s", len(list), size(bytes))
}

var durations = regexp.MustCompile(`^(\d{1,6})(m|h|d|w)$`)

// duration reads the value of --older-than; empty is no time.
func duration(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	m := durations.FindStringSubmatch(s)
	if m == nil {
		return 0, usagef("--older-than=%s: want a number and m, h, d or w, as in 30d", s)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0, usagef("--older-than=%s: %v", s, err)
	}
	unit := map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}[m[2]]
	if time.Duration(n) > (1<<63-1)/unit {
		return 0, usagef("--older-than=%s: is longer than anything has been unused", s)
	}
	return time.Duration(n) * unit, nil
}

// ago says how long something was not used, in the largest unit of which there
// are two.
func ago(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return "used just now"
	case d < 2*time.Hour:
		return fmt.Sprintf("used %d minutes ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("used %d hours ago", d/time.Hour)
	}
	return fmt.Sprintf("used %d days ago", d/(24*time.Hour))
}
