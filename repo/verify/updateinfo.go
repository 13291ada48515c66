package verify

import (
	"encoding/xml"
	"path"
	"slices"
	"strings"
	"time"
)

// advisoryKinds are the types of advisories by which dnf and zypper choose.
var advisoryKinds = []string{"security", "bugfix", "enhancement", "newpackage"}

// advisories checks the index updateinfo, after primary: every advisory has an id of its own, a type and a time that clients
// know, and is about packages which primary names, under the names of their files.
func (c *check) advisories(name string, data []byte) {
	var index struct {
		Updates []struct {
			Type   string `xml:"type,attr"`
			ID     string `xml:"id"`
			Title  string `xml:"title"`
			Issued struct {
				Date string `xml:"date,attr"`
			} `xml:"issued"`
			Packages []struct {
				Name     string `xml:"name,attr"`
				Epoch    string `xml:"epoch,attr"`
				Version  string `xml:"version,attr"`
				Release  string `xml:"release,attr"`
				Arch     string `xml:"arch,attr"`
				Filename string `xml:"filename"`
			} `xml:"pkglist>collection>package"`
		} `xml:"update"`
	}
	if err := xml.Unmarshal(data, &index); err != nil {
		c.found(name, "%v", err)
		return
	}
	files := map[nevra]string{}
	for file, n := range c.nevras {
		files[n] = path.Base(file)
	}
	seen := map[string]bool{}
	for _, u := range index.Updates {
		wrong := func(format string, args ...any) {
			c.found(name, "advisory %.100q "+format, append([]any{u.ID}, args...)...)
		}
		if u.ID == "" || seen[u.ID] {
			wrong("has no id of its own")
		}
		seen[u.ID] = true
		if !slices.Contains(advisoryKinds, u.Type) {
			wrong("has the type %.100q, expected %s", u.Type, strings.Join(advisoryKinds, ", "))
		}
		if _, err := time.Parse(time.DateTime, u.Issued.Date); err != nil {
			wrong("is issued %.100q, which is no time", u.Issued.Date)
		}
		if len(u.Packages) == 0 {
			wrong("is about no package")
		}
		for _, p := range u.Packages {
			n := nevra{p.Name, version{p.Epoch, p.Version, p.Release}, p.Arch}
			if file, ok := files[n]; !ok {
				wrong("is about %s, which is not in the index", n)
			} else if file != p.Filename {
				wrong("calls the file of %s %.200q, and it is %s", n, p.Filename, file)
			}
		}
	}
}
