package specs

import (
	"math"
	"strconv"
	"strings"
)

// byteUnits are what sizes may be given in, each 1024 times the one before.
var byteUnits = []string{"KiB", "MiB", "GiB", "TiB"}

// bytes decodes a size in bytes: a number that is not negative, or a text of a
// number and a unit ("24GiB", "1.5 MiB"). The result is whole.
func (o *object) bytes(name string, dst *float64) {
	v, path, ok := o.get(name)
	if !ok {
		return
	}
	x, number := v.(float64)
	if s, isText := v.(string); isText {
		for i, unit := range byteUnits {
			if digits, found := strings.CutSuffix(s, unit); found {
				n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
				x, number = n*math.Pow(1024, float64(i+1)), err == nil
			}
		}
	}
	switch {
	case !number:
		o.d.errorf(path, `%s must be a number of bytes or a size as in "24GiB", not %s`, path, show(v))
	case !(x >= 0 && x <= maxInt):
		o.d.errorf(path, "%s must be from 0 to 2^53 bytes, not %s", path, show(v))
	default:
		*dst = math.Floor(x)
	}
}
