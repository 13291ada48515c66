package repo

import "fmt"

// Size writes a number of bytes for a person, in binary units.
func Size(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, units := float64(n)/(1<<10), "KiB"
	for _, u := range []string{"MiB", "GiB", "TiB"} {
		if f < 1<<10 {
			break
		}
		f, units = f/(1<<10), u
	}
	return fmt.Sprintf("%.1f %s", f, units)
}

// Count writes a number of things for a person: 1 package, 2 packages. The name of one must have a plural that ends in s.
func Count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
