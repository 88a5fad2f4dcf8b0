package pacemaker

import (
	"slices"
	"strconv"
	"strings"

	"github.com/belay-ha/belay/engine/cib"
)

// primitive is what the rest of the import needs of one primitive.
type primitive struct {
	e      *element // with its template
	cfg    *cib.Resource
	class  string
	clone  string // the clone it is in; "" if none
	unique bool
}

// inherited is what elements around a resource give it.
type inherited struct {
	clone  string
	unique bool
	params []*element // elements around it, innermost first: their parameters are its, too
}

// importResources makes the resources.
func (im *importer) importResources() {
	list := im.config.child("resources")
	if list == nil {
		return
	}
	for _, t := range list.all("template") {
		im.templates[t.attr("id")] = t
	}
	for _, e := range list.children {
		im.importResource(e, inherited{})
	}
	for _, t := range list.all("template") {
		im.noteName(t, t.attr("id"), "template", "there are no templates here: what it says is said by each resource that uses it")
	}
}

// importResource makes one resource and what is in it, and returns its id; "" if
// it was not carried over.
func (im *importer) importResource(e *element, up inherited) string {
	id := e.attr("id")
	switch e.name {
	case "primitive", "group", "clone", "master", "bundle":
		if id == "" {
			im.note(e, "", "it has no id")
			return ""
		}
		if im.Snapshot.Config.Resources[id] != nil {
			im.note(e, id, "a second resource of that id")
			return ""
		}
	case "template":
		return ""
	default:
		im.note(e, id, "this kind of resource is not known")
		return ""
	}
	im.position++
	r := &cib.Resource{Description: e.attr("description"), Position: im.position}
	switch e.name {
	case "primitive":
		im.importPrimitive(e, r, up)
	case "group":
		im.importGroup(e, r, up)
	case "bundle":
		im.importBundle(e, r, up)
	default:
		im.importClone(e, r, up)
	}
	if r.Agent == "" && len(r.Group) == 0 && r.Clone == nil && r.Bundle == nil {
		if e.name != "bundle" { // which has said so
			im.note(e, id, "there is nothing in it that could be carried over")
		}
		return ""
	}
	im.Snapshot.Config.Resources[id] = r
	return id
}

func (im *importer) metaOf(e *element, r *cib.Resource) values {
	var v values
	im.pairs(&v, e, "meta_attributes", "", nil)
	for _, name := range []string{"is_managed", "restart_type", "multiple_active", "resource_stickiness"} { // attributes of the element itself in the oldest versions
		if text, ok := e.lookup(name); ok {
			v.set(normalize(name), text)
		}
	}
	im.meta(&r.Meta, e, &v)
	return v
}

// merged is a primitive with what its template adds.
func (im *importer) merged(e *element) *element {
	ref := e.attr("template")
	if ref == "" {
		return e
	}
	t := im.templates[ref]
	if t == nil {
		im.noteName(e, e.attr("id"), "template", "template %s does not exist", shorten(ref))
		return e
	}
	out := &element{name: e.name, attrs: slices.Clone(e.attrs), children: slices.Concat(e.children, t.children), parts: []*element{e, t}}
	for _, a := range t.attrs {
		if _, ok := e.lookup(a.Name.Local); !ok {
			out.attrs = append(out.attrs, a)
		}
	}
	return out
}

func (im *importer) importPrimitive(e *element, r *cib.Resource, up inherited) {
	id := e.attr("id")
	m := im.merged(e)
	class, provider, kind := m.attr("class"), m.attr("provider"), m.attr("type")
	if kind == "" {
		im.note(e, id, "it names no agent")
		return
	}
	if class == "heartbeat" {
		im.note(e, id, "agents of the class heartbeat are no more; take the ocf one of the same name")
	}
	r.Agent = class + ":" + kind
	if provider != "" {
		r.Agent = class + ":" + provider + ":" + kind
	}
	about := &subject{agent: [3]string{class, provider, kind}, resource: true}
	own := im.metaOf(m, r)
	var params, capacity values
	im.pairs(&params, m, "instance_attributes", "", about)
	for _, outer := range up.params {
		im.pairs(&params, outer, "instance_attributes", "", about)
	}
	r.Parameters = params.of
	im.pairs(&capacity, m, "utilization", "", about)
	r.Utilization = im.capacities(e, &capacity)
	im.operations(e, m, r, about)
	im.prims[id] = &primitive{e: m, cfg: r, class: class, clone: up.clone, unique: up.unique}
	switch provides := own.of["provides"]; {
	case class == "stonith" && strings.EqualFold(provides, "unfencing"):
		im.unfencers[id] = true
	case provides != "":
		im.noteName(e, id, "provides", "only fence devices provide something, and that is unfencing; the value is %q", shorten(provides))
	}
}

// operations reads the operations of a primitive.
func (im *importer) operations(e, merged *element, r *cib.Resource, about *subject) {
	seen, own := map[string]bool{}, map[string]bool{}
	mine := e.all("operations")
	for i, list := range merged.all("operations") {
		if list = im.follow(list); list == nil {
			continue
		}
		for _, op := range list.all("op") {
			if op = im.follow(op); op == nil {
				continue
			}
			o, ok := im.operation(op, about)
			key := o.Name + "\x00" + o.Interval.String() + "\x00" + o.Role.String()
			if !ok || seen[key] || i >= len(mine) && own[purposeOf(&o)] {
				continue
			}
			if i < len(mine) {
				own[purposeOf(&o)] = true
			}
			seen[key] = true
			r.Operations = append(r.Operations, o)
		}
	}
}

// purposeOf is what an operation of a primitive has in common with that of its template
// that it replaces: name and role, whatever the interval.
func purposeOf(o *cib.Operation) string {
	if o.Role == 0 || o.Role == cib.RoleStarted || o.Role == cib.RoleUnpromoted {
		return o.Name
	}
	return o.Name + "\x00" + o.Role.String()
}

func (im *importer) operation(e *element, about *subject) (cib.Operation, bool) {
	id := e.attr("id")
	o := cib.Operation{Name: e.attr("name")}
	if o.Name == "" {
		im.note(e, id, "it has no name")
		return o, false
	}
	var v, params values
	for _, a := range e.spell() {
		v.set(a.Name.Local, a.Value)
	}
	im.pairs(&v, e, "meta_attributes", "", about)
	if text := v.of["interval"]; text != "" {
		d, ok := parseDuration(text)
		if !ok {
			im.noteName(e, id, "interval", "%q is no length of time; the operation is left out", shorten(text))
			return o, false
		}
		o.Interval = d
	}
	for _, raw := range v.names {
		im.operationValue(e, &o, raw, v.of[raw])
	}
	im.pairs(&params, e, "instance_attributes", "", about)
	o.Parameters = params.of
	return o, true
}

func (im *importer) operationValue(e *element, o *cib.Operation, raw, text string) {
	ok := true
	switch normalize(raw) {
	case "timeout":
		o.Timeout, ok = parseDuration(text)
	case "role":
		o.Role = parseRole(text)
		ok = o.Role != 0 || text == ""
	case "on-fail":
		o.OnFail = parseOnFail(text)
		ok = o.OnFail != 0
	case "enabled":
		ok = setBool(&o.Enabled, text)
	case "disabled":
		if isTrue(text) {
			o.Enabled = new(false)
		}
	case "start-delay":
		o.StartDelay, ok = parseDuration(text)
	case "id", "name", "interval", "description", "record-pending":
	default:
		im.noteName(e, e.attr("id"), raw, "operations have no setting of that name here")
	}
	if !ok {
		im.noteName(e, e.attr("id"), raw, "the value %q is not understood; the default holds", shorten(text))
	}
}

func (im *importer) importGroup(e *element, r *cib.Resource, up inherited) {
	v := im.metaOf(e, r)
	for _, name := range []string{"ordered", "collocated"} {
		text := v.of[name]
		if text == "" {
			text = e.attr(name)
		}
		if text != "" && !isTrue(text) {
			im.noteName(e, e.attr("id"), name, "the members of a group are always started in order on one node here")
		}
	}
	up = up.around(e)
	for _, c := range e.children {
		if c.name == "primitive" {
			if id := im.importResource(c, up); id != "" {
				r.Group = append(r.Group, id)
			}
		}
	}
}

// around returns what e gives to what is in it besides.
func (u inherited) around(e *element) inherited {
	u.params = append([]*element{e}, u.params...)
	return u
}

func (im *importer) importClone(e *element, r *cib.Resource, up inherited) {
	id := e.attr("id")
	v := im.metaOf(e, r)
	var inner *element
	for _, c := range e.children {
		switch c.name {
		case "primitive", "group":
			if inner == nil {
				inner = c
			}
		case "bundle", "clone", "master":
			im.note(c, c.attr("id"), "it cannot be in a clone")
		}
	}
	if inner == nil {
		return
	}
	setting := func(name string) string {
		for _, raw := range v.names {
			if normalize(raw) == name {
				return v.of[raw]
			}
		}
		for _, a := range e.attrs {
			if normalize(a.Name.Local) == name {
				return a.Value
			}
		}
		for _, raw := range im.defaults.names {
			if normalize(raw) == name {
				return im.defaults.of[raw]
			}
		}
		return ""
	}
	number := func(name string) (int, bool) {
		text := setting(name)
		if text == "" {
			return 0, false
		}
		s, ok := parseScore(text)
		if !ok || s < 0 {
			im.noteName(e, id, name, "%q is no number; the default holds", shorten(text))
			return 0, false
		}
		return int(s), true
	}
	c := &cib.Clone{
		Interleave: isTrue(setting("interleave")), Ordered: isTrue(setting("ordered")), Notify: isTrue(setting("notify")),
		Promotable: e.name == "master" || isTrue(setting("promotable")), GloballyUnique: isTrue(setting("globally-unique")),
	}
	if n, ok := number("clone-max"); ok {
		c.Max = &n
	}
	if n, ok := number("promoted-max"); ok {
		c.PromotedMax = &n
	}
	nodeMax, hasNodeMax := number("clone-node-max")
	if text := setting("globally-unique"); text == "" && nodeMax > 1 {
		c.GloballyUnique = true
	}
	if c.GloballyUnique && !im.canBeUnique(inner) {
		im.noteName(e, id, "globally-unique", "agents of this class cannot tell instances from each other; the clone is anonymous")
		c.GloballyUnique = false
	}
	if hasNodeMax {
		c.NodeMax = nodeMax
		if !c.GloballyUnique && nodeMax > 1 {
			c.NodeMax = 1
			im.noteName(e, id, "clone-node-max", "the instances of an anonymous clone are the same: there is one a node")
		}
	}
	c.Min, _ = number("clone-min")
	c.PromotedNodeMax, _ = number("promoted-node-max")
	up = up.around(e)
	up.clone, up.unique = id, c.GloballyUnique
	if c.Resource = im.importResource(inner, up); c.Resource != "" {
		r.Clone = c
	}
}

// canBeUnique reports whether every agent in e can have instances that differ.
func (im *importer) canBeUnique(e *element) bool {
	if e.name == "group" {
		for _, p := range e.all("primitive") {
			if !im.canBeUnique(p) {
				return false
			}
		}
		return true
	}
	return im.merged(e).attr("class") == "ocf"
}

// importTags reads tags: names for several resources.
func (im *importer) importTags() {
	for _, t := range im.config.child("tags").all("tag") {
		for _, ref := range t.all("obj_ref") {
			im.tags[t.attr("id")] = append(im.tags[t.attr("id")], ref.attr("id"))
		}
		im.noteName(t, t.attr("id"), "tag", "there are no tags here: constraints that name it are spread to its members, %s", shorten(strings.Join(im.tags[t.attr("id")], ", ")))
	}
	for id, p := range im.prims {
		if t := p.e.attr("template"); t != "" {
			im.tags[t] = append(im.tags[t], id)
		}
	}
	for t := range im.tags {
		slices.Sort(im.tags[t])
	}
}

// resource finds what a constraint names. Instances of clones were named in the
// oldest versions; they mean the clone.
func (im *importer) resource(id string) (string, bool) {
	if im.Snapshot.Config.Resources[id] != nil {
		return id, true
	}
	if i := strings.LastIndexByte(id, ':'); i > 0 {
		if _, err := strconv.Atoi(id[i+1:]); err == nil && im.Snapshot.Config.Resources[id[:i]] != nil {
			return id[:i], true
		}
	}
	return "", false
}

// severally reports whether a name in a constraint is that of a tag or template.
func (im *importer) severally(id string) bool {
	_, one := im.resource(id)
	return !one && len(im.tags[id]) > 0
}

// resources finds all that a constraint names: a resource, a tag or a template.
func (im *importer) resources(id string) []string {
	if r, ok := im.resource(id); ok {
		return []string{r}
	}
	var out []string
	for _, member := range im.tags[id] {
		if r, ok := im.resource(member); ok {
			out = append(out, r)
		}
	}
	return out
}
