package pacemaker

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/belay-ha/belay/engine/cib"
)

// Note is one thing that was not carried over as it stands.
type Note struct {
	Element string `json:"element"`        // its name in the CIB
	ID      string `json:"id,omitempty"`   // its id, or what names it best
	Name    string `json:"name,omitempty"` // of the attribute or option that it is about
	Reason  string `json:"reason"`         // why, and what it means
}

// String writes the note for people.
func (n Note) String() string {
	out := n.Element
	if n.ID != "" {
		out += " " + n.ID
	}
	if n.Name != "" {
		out += ", " + n.Name
	}
	return out + ": " + n.Reason
}

// Document is a CIB that was read.
type Document struct {
	root *element
}

// Imported is what became of a CIB.
type Imported struct {
	Snapshot *cib.Snapshot
	Notes    []Note
	Now      time.Time // the time as of which rules were evaluated
}

// Read parses a CIB. It judges the form only.
func Read(doc []byte) (*Document, error) {
	root, err := parse(doc)
	if err != nil {
		return nil, err
	}
	if root.name != "cib" {
		return nil, fmt.Errorf("the document is a %s, not a cib", shorten(root.name))
	}
	if root.child("configuration") == nil {
		return nil, fmt.Errorf("the cib has no configuration")
	}
	return &Document{root}, nil
}

// Time returns the time at which the CIB was written down to be decided on, where
// it says so.
func (d *Document) Time() (time.Time, bool) { return parseEpoch(d.root.attr("execution-date")) }

// importer is the working state of an import.
type importer struct {
	*Imported
	root       *element
	config     *element
	byID       map[string]*element // "element name, NUL, id"
	hosts      []*host
	hostByID   map[string]*host
	hostBy     map[string]*host
	templates  map[string]*element
	prims      map[string]*primitive
	tags       map[string][]string
	containers map[string]string // by container of a bundle: the digest of its parameters
	position   int               // of the last resource
	unfencers  map[string]bool   // fence devices that nodes are unfenced with
	defaults   *values           // rsc_defaults that hold for all
	feature    string            // crm_feature_set
}

// Import makes the snapshot of a CIB as of a time.
func Import(d *Document, now time.Time) *Imported {
	im := &importer{
		Imported: &Imported{Snapshot: cib.Empty(), Now: now},
		root:     d.root, config: d.root.child("configuration"), byID: map[string]*element{},
		hostByID: map[string]*host{}, hostBy: map[string]*host{}, templates: map[string]*element{},
		prims: map[string]*primitive{}, tags: map[string][]string{}, containers: map[string]string{}, unfencers: map[string]bool{}, defaults: &values{},
	}
	im.index(d.root)
	im.importOptions()
	im.importQuorum()
	im.importNodes() // and what they are, for rules
	im.importResources()
	im.importRemotes()
	im.importTags()
	im.importConstraints()
	im.importTickets()
	im.importTopology()
	im.importHistories()
	im.importUnfencing()
	im.listTheRest()
	im.listUnread(im.config)
	return im.Imported
}

// index finds elements by their id, for references. The first of an id counts.
func (im *importer) index(e *element) {
	for _, c := range e.children {
		if id := c.id(); id != "" {
			key := c.name + "\x00" + id
			switch first := im.byID[key]; {
			case first == nil:
				im.byID[key] = c
			case isResource(c), slices.Contains([]string{"node", "node_state", "ticket_state", "resource_ref", "obj_ref", "role"}, c.name):
				// told where these are read; a reference has the id of what it refers to
			case first != c:
				im.note(c, id, "a second %s of that id; what refers to it means the first", shorten(c.name))
			}
		}
		if c.name != "status" {
			im.index(c)
		}
	}
}

// isResource reports whether an element is a resource.
func isResource(e *element) bool {
	switch e.name {
	case "primitive", "group", "clone", "master", "bundle", "template":
		return true
	}
	return false
}

// note lists something that was not carried over.
func (im *importer) note(e *element, id, format string, args ...any) {
	im.noteName(e, id, "", format, args...)
}

func (im *importer) noteName(e *element, id, name, format string, args ...any) {
	switch {
	case len(im.Notes) == notesMax:
		im.Notes = append(im.Notes, Note{Element: "cib", Reason: fmt.Sprintf("more than %d things were not carried over; the rest is not listed", notesMax)})
		return
	case len(im.Notes) > notesMax:
		return
	}
	element := "cib"
	if e != nil {
		e.told = e.told || name == ""
		element = shorten(e.name)
	}
	im.Notes = append(im.Notes, Note{Element: element, ID: shorten(id), Name: shorten(name), Reason: fmt.Sprintf(format, args...)})
}

// listUnread lists the elements and attributes that nobody asked for: they have no
// place here. What is in one of which a note says that it was left out is not listed.
func (im *importer) listUnread(e *element) {
	if op := e.attr("boolean-op"); e.name == "rule" && op != "" && !strings.EqualFold(op, "and") && !strings.EqualFold(op, "or") {
		im.noteName(e, e.id(), "boolean-op", "%q is not known; it is taken as and", shorten(op))
	}
	for i := range e.attrs {
		switch name := e.attrs[i].Name.Local; {
		case i < 64 && e.read&(1<<i) != 0, name == "id", strings.HasPrefix(name, "__crm_"): // a mark that crmsh leaves
		case e.name == "rule" && name == "score": // it means something in locations only
		case name == "description":
			im.noteName(e, e.id(), name, "descriptions are kept of resources only")
		default:
			im.noteName(e, e.id(), name, "this attribute is not known here, or has no effect where it stands; its value was %q", shorten(e.attrs[i].Value))
		}
	}
	for _, c := range e.children {
		switch {
		case c.told:
		case !c.seen:
			im.note(c, c.id(), "it is not known here, or has no effect where it stands (in %s %s)", shorten(e.name), shorten(e.id()))
		default:
			im.listUnread(c)
		}
	}
}

// listTheRest lists the sections that nothing was read of.
func (im *importer) listTheRest() {
	for _, c := range im.config.children {
		switch c.name {
		case "crm_config", "nodes", "resources", "constraints", "rsc_defaults", "op_defaults", "tags", "fencing-topology":
		case "acls":
			if c.seen = true; len(c.children) > 0 {
				im.note(c, "", "access rules are not part of the cluster's configuration here: see belay-mgmtd")
			}
		case "alerts":
			for _, a := range c.all("alert") {
				im.note(a, a.attr("id"), "alert agents are not run; events are at hand in belay events, SNMP and CIM")
			}
		default:
			im.note(c, c.attr("id"), "this element is not known")
		}
	}
}
