package prepare

import (
	"crypto/sha256"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// inputFile is one file of a source.
// Held-out documents are chosen by the hash of their name, so the name must not
// depend on where the files lie.
type inputFile struct {
	path string // to open it
	real string // where it is, past links
	name string // with slashes, relative to the fixed part of its pattern: the same on every machine
	size int64
	sum  [sha256.Size]byte // of the contents as stored
}

// hasMeta reports whether a path component is a pattern.
func hasMeta(s string) bool { return strings.ContainsAny(s, `*?[`) }

// splitPattern cuts a pattern before its first component with a wildcard.
// "/a/b/*.go" gives "/a/b" and ["*.go"]; without a wildcard there are no parts.
func splitPattern(pattern string) (fixed string, parts []string) {
	// Windows' drive letter; empty elsewhere.
	vol := filepath.VolumeName(pattern)
	all := strings.Split(filepath.ToSlash(pattern[len(vol):]), "/")
	// The part in front is a folder to start from, with no need to list what is
	// above it.
	for i, c := range all {
		if hasMeta(c) {
			fixed = vol + strings.Join(all[:i], "/")
			if fixed == vol && i > 0 {
				fixed += "/" // the pattern began with a slash
			}
			if fixed == "" {
				fixed = "."
			}
			return filepath.FromSlash(fixed), all[i:]
		}
	}
	return pattern, nil
}

// matchParts matches a name's components against a pattern's, where ** stands
// for any number of components.
// Each component is matched as path.Match does; an empty pattern matches an
// empty name.
func matchParts(pattern, name []string) (bool, error) {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			// Every split is tried. With several ** that grows fast, but paths
			// have a dozen components.
			for i := 0; i <= len(name); i++ {
				if ok, err := matchParts(pattern[1:], name[i:]); ok || err != nil {
					return ok, err
				}
			}
			return false, nil
		}
		// Match an empty name too, so that a bad pattern is always an error.
		first := ""
		if len(name) > 0 {
			first = name[0]
		}
		ok, err := path.Match(pattern[0], first)
		if !ok || err != nil || len(name) == 0 {
			return false, err
		}
		pattern, name = pattern[1:], name[1:]
	}
	return len(name) == 0, nil
}

// excluded reports whether a name matches one of a source's Exclude patterns.
// Names are those of inputFile, so that an exclusion means the same on every
// machine.
func excluded(patterns []string, name string) (bool, error) {
	// Any one is enough.
	for _, p := range patterns {
		if p == name || p == path.Base(name) {
			return true, nil
		}
		var ok bool
		var err error
		if strings.Contains(p, "/") {
			ok, err = matchParts(strings.Split(p, "/"), strings.Split(name, "/"))
		} else {
			ok, err = path.Match(p, path.Base(name))
		}
		if ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// glob calls found for every file below dir that matches the components of a
// pattern. Names that begin with a dot match only patterns that do, and **
// does not follow links to folders, which may be circles.
func glob(dir string, parts []string, found func(path string)) error {
	// Sorted by name.
	// Sorted by name, though the order of what is found does not matter:
	// sortFiles comes after.
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	// Deep trees are walked once for each ** in the pattern.
	if parts[0] == "**" {
		// At the end of a pattern, ** is every file below.
		if len(parts) == 1 {
			parts = []string{"**", "*"}
		}
		// No folder at all is one of the ways.
		if err := glob(dir, parts[1:], found); err != nil {
			return err
		}
		for _, e := range entries {
			if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
				if err := glob(filepath.Join(dir, e.Name()), parts, found); err != nil {
					return err
				}
			}
		}
		return nil
	}
	// A file whose name has brackets, such as data[1].txt, is meant by its name.
	literal := strings.Contains(parts[0], "[") && slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == parts[0] })
	for _, e := range entries {
		ok := e.Name() == parts[0]
		if !literal {
			if ok, err = path.Match(parts[0], e.Name()); err != nil {
				return err
			}
		}
		if !ok || strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(parts[0], ".") {
			continue
		}
		p := filepath.Join(dir, e.Name())
		st, err := os.Stat(p) // of a link, its target
		switch {
		case err != nil:
			return err
		// Neither folders nor devices nor pipes are text.
		case len(parts) == 1 && st.Mode().IsRegular():
			found(p)
		case len(parts) > 1 && st.IsDir():
			if err := glob(p, parts[1:], found); err != nil {
				return err
			}
		}
	}
	return nil
}

// walk calls found for every regular file below dir, leaving out files and
// folders that begin with a dot. dir itself may be a link, as GOROOT/src is on
// Debian; links to folders below it are not followed.
// Unlike glob it has nothing to match, so the standard library's walk does.
func walk(dir string, found func(path string)) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	return filepath.WalkDir(real, func(p string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if p != real && strings.HasPrefix(e.Name(), ".") {
			if e.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		file := e.Type().IsRegular()
		// A link to a file is one, as for patterns; a link to a folder may be a
		// circle.
		if e.Type()&fs.ModeSymlink != 0 {
			st, err := os.Stat(p)
			if err != nil {
				return err
			}
			file = st.Mode().IsRegular()
		}
		if file {
			rel, err := filepath.Rel(real, p)
			if err != nil {
				return err
			}
			// Under the path that was asked for, not the one behind the link.
			found(filepath.Join(dir, rel))
		}
		return nil
	})
}

// sortFiles orders files by name and drops those that are others again: one file
// may be spelt ./a.txt, a.txt, by its whole path and through links. again says
// which of the kept ones each was.
// Byte order of names, which no locale changes.
func sortFiles(files []inputFile) (kept []inputFile, again [][2]string) {
	sort.Slice(files, func(i, j int) bool {
		if files[i].name != files[j].name {
			return files[i].name < files[j].name
		}
		return files[i].path < files[j].path
	})
	// Not by inode: hard links are two files, or a file system that joins equal
	// ones would change the set.
	links := realPaths{}
	seen := make(map[string]string, len(files))
	// In place: the list is the caller's no more.
	kept = files[:0]
	for _, f := range files {
		f.real = links.of(f.path)
		if first, ok := seen[f.real]; ok {
			if first != f.path {
				again = append(again, [2]string{f.path, first})
			}
			continue
		}
		seen[f.real] = f.path
		kept = append(kept, f)
	}
	return kept, again
}

// realPaths finds where files are, past links, and remembers it of folders.
type realPaths map[string]string

func (r realPaths) of(p string) string {
	abs, err := filepath.Abs(p)
	if err != nil {
		return p
	}
	if st, err := os.Lstat(abs); err == nil && st.Mode()&fs.ModeSymlink != 0 {
		if real, err := filepath.EvalSymlinks(abs); err == nil {
			return real
		}
	}
	dir := filepath.Dir(abs)
	real, ok := r[dir]
	if !ok {
		if real, err = filepath.EvalSymlinks(dir); err != nil {
			real = dir
		}
		r[dir] = real
	}
	return filepath.Join(real, filepath.Base(abs))
}
