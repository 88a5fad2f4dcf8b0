package object

import (
	"reflect"
	"testing"
)

// A text that is a value of a type is written as one, and read back as the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"0", "-1", "+0x1F", "18446744073709551615", "-9223372036854775808", "0777", "1101b", "1.5e300", "NaN", "INF", "true", "FALSE", "a",
		"20240229130507.000000+000", "2024022913****.******-060", "00000001000000.000000:000", "99999999235959.999999:000",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for k := range typeNames {
			typ := Type(k)
			v, err := Parse(text, typ)
			if err != nil {
				continue
			}
			if Text(v) == "NaN" && typ != String { // which is no number, not even its own
				continue
			}
			again, err := Parse(Text(v), typ)
			if err != nil || !reflect.DeepEqual(v, again) {
				t.Fatalf("%q as %s is %v, and %q is %v: %v", text, typ, v, Text(v), again, err)
			}
			if d, ok := v.(DateTime); ok {
				_, moment := d.Time()
				if _, interval := d.Duration(); moment == interval {
					t.Fatalf("%s is both or none", d)
				}
			}
		}
	})
}
