package weights

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/llamac/llamac/runtime/model"
)

// checkpointName is how a run names its checkpoints. The zeros in front are for
// people, and a number may outgrow them.
var checkpointName = regexp.MustCompile(`^step-[0-9]+\.safetensors$`)

// Checkpoints lists the checkpoints in the folder of a run, newest first. Other
// folders have none.
func Checkpoints(run string) ([]string, error) {
	dir := filepath.Join(run, "checkpoints")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []string
	for _, e := range entries {
		if checkpointName.MatchString(e.Name()) {
			list = append(list, filepath.Join(dir, e.Name()))
		}
	}
	slices.SortFunc(list, func(a, b string) int {
		return cmp.Or(-cmp.Compare(len(a), len(b)), -cmp.Compare(a, b))
	})
	return list, nil
}

// LoadRun is Load from the newest checkpoint in the folder of a run that is not
// damaged; note gets those that are, and what LoadNoting notes. It returns the
// checkpoint that was read.
func LoadRun(info model.Info, run string, params []float32, note func(string)) (string, error) {
	list, err := Checkpoints(run)
	if err != nil {
		return "", err
	}
	for _, path := range list {
		err := LoadNoting(info, path, params, note)
		// A good checkpoint of another model is no reason to take an older one.
		if err == nil || intact(path) {
			return path, err
		}
		note(Doubt + err.Error() + "; trying the one before")
	}
	if len(list) > 0 {
		return "", fmt.Errorf("%s: none of its %d checkpoints verifies", run, len(list))
	}
	return "", fmt.Errorf("%s: holds no checkpoint", run)
}

// intact tells whether a checkpoint's checksum holds.
func intact(path string) bool {
	s, _, err := openCheckpoint(path)
	if err != nil {
		return false
	}
	defer s.Close()
	return s.verify() == nil
}
