package model

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/cim/query"
	"github.com/belay-ha/belay/cim/schema"
	"github.com/belay-ha/belay/engine/cib"
)

// idOf is the id of the document for something that a client has named: names of CIM
// may have any characters.
func idOf(name string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
	}
	if name != "" && len(name) <= 64 && strings.IndexFunc(name, func(r rune) bool { return !plain(r) }) < 0 && strings.IndexFunc(name[:1], func(r rune) bool { return r == '-' || r == '.' }) < 0 {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return "cim-" + hex.EncodeToString(sum[:12])
}

// filterID is the id of the filter with a name; "" where there is none.
func (s *State) filterID(name string) string {
	if _, builtin := cib.CIMBuiltinFilters[name]; builtin {
		return name
	}
	for _, id := range sortedKeys(s.config.CIMFilters) {
		if nameOr(s.config.CIMFilters[id].Name, id) == name {
			return id
		}
	}
	return ""
}

func (s *State) destinationID(p *object.Path) string {
	for _, id := range sortedKeys(s.config.CIMDestinations) {
		if d := s.config.CIMDestinations[id]; nameOr(d.Name, id) == p.Text("Name") && d.Older == (p.Class == HandlerClass) {
			return id
		}
	}
	return ""
}

func (s *State) subscriptionID(p *object.Path) string {
	filter, _ := p.Get("Filter").(*object.Path)
	handler, _ := p.Get("Handler").(*object.Path)
	if filter == nil || handler == nil {
		return ""
	}
	f, d := s.filterID(filter.Text("Name")), s.destinationID(handler)
	for _, id := range sortedKeys(s.config.CIMSubscriptions) {
		if x := s.config.CIMSubscriptions[id]; x.Filter == f && x.Destination == d {
			return id
		}
	}
	return ""
}

// ownName is the name of a filter or destination that a client makes. Which system it
// belongs to is for the server to say, so what the client says of that is not looked at.
func ownName(i *object.Instance) (string, error) {
	if i.Text("Name") == "" {
		return "", object.Errorf(object.InvalidParameter, "Name is missing")
	}
	if v := i.Get("CreationClassName"); v != nil && v != i.Class().Name {
		return "", object.Errorf(object.InvalidParameter, "CreationClassName is %q here", i.Class().Name)
	}
	return i.Text("Name"), nil
}

func (s *State) filterDraft(p patch, i *object.Instance) (string, error) {
	name, err := ownName(i)
	if err != nil {
		return "", err
	}
	if s.filterID(name) != "" {
		return "", object.Errorf(object.AlreadyExists, "there is a filter %q", name)
	}
	if id := idOf(name); id != name {
		p.set("name", name)
	}
	return idOf(name), s.filterPatch(p, i, i.Has)
}

// CompileFilter reads the query of a filter and checks it against the schema of the
// cluster's namespace: it must be about a class of indications.
func CompileFilter(language, text string, classes *object.Schema) (*query.Query, *object.Class, error) {
	q, err := query.Parse(language, text)
	if err != nil {
		return nil, nil, err
	}
	c := classes.Class(q.Class)
	if c == nil || !c.IsA("CIM_Indication") {
		return nil, nil, object.Errorf(object.InvalidQuery, "%.60s is no class of indications", q.Class)
	}
	return q, c, q.Check(c)
}

// CheckQuery says what is wrong with the query of a filter, in words without a code.
func CheckQuery(language, text string) error {
	schemas, err := schema.Load()
	if err != nil {
		return err
	}
	for _, s := range schemas {
		if s.Namespace != Root {
			continue
		}
		if _, _, err := CompileFilter(language, text, s); err != nil {
			return errors.New(object.AsError(err).Text)
		}
	}
	return nil
}

// filterPatch is what is wanted of a filter. One that could never be evaluated is refused,
// as it will be after the change.
func (s *State) filterPatch(p patch, i *object.Instance, want func(string) bool) error {
	if want("Query") {
		p.set("query", i.Text("Query"))
	}
	if want("QueryLanguage") {
		language := i.Text("QueryLanguage")
		switch strings.ToUpper(language) {
		case "WQL":
			language = "WQL"
		case "CQL", "DMTF:CQL", "CIM:CQL":
			language = "DMTF:CQL"
		default:
			return object.Errorf(object.QueryLanguage, "the language %q is none of WQL and DMTF:CQL", language)
		}
		p.set("language", language)
	}
	if want("Query") || want("QueryLanguage") {
		language := strings.ToUpper(i.Text("QueryLanguage"))
		if language != "WQL" {
			language = "DMTF:CQL"
		}
		if _, _, err := CompileFilter(language, i.Text("Query"), s.schemas[Root]); err != nil {
			return err
		}
	}
	if spaces := i.Texts("SourceNamespaces"); want("SourceNamespaces") && len(spaces) > 0 {
		p.set("namespaces", spaces)
	} else if one := i.Text("SourceNamespace"); want("SourceNamespace") && one != "" {
		p.set("namespaces", []string{one})
	}
	return nil
}

func (s *State) destinationDraft(p patch, i *object.Instance) (string, error) {
	name, err := ownName(i)
	if err != nil {
		return "", err
	}
	if s.destinationID(&object.Path{Class: i.Class().Name, Keys: []object.KeyValue{{Name: "Name", Value: name}}}) != "" {
		return "", object.Errorf(object.AlreadyExists, "there is a destination %q", name)
	}
	id := idOf(name)
	if i.Class().Is(HandlerClass) {
		p.set("older", true)
		if s.config.CIMDestinations[id] != nil {
			id = idOf("handler " + name)
		}
	}
	if id != name {
		p.set("name", name)
	}
	return id, destinationPatch(p, i, i.Has)
}

func destinationPatch(p patch, i *object.Instance, want func(string) bool) error {
	if !want("Destination") {
		return nil
	}
	text := strings.TrimSpace(i.Text("Destination"))
	if !strings.Contains(text, "://") {
		text = "https://" + text // some clients leave the scheme out
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return object.Errorf(object.InvalidParameter, "Destination is no URL of a listener")
	}
	if u.User != nil {
		p.set("user", u.User.Username())
		if password, ok := u.User.Password(); ok {
			p.set("password", password)
		}
		u.User = nil
	}
	p.set("url", u.String())
	return nil
}

func (s *State) subscriptionDraft(p patch, i *object.Instance) (string, error) {
	var ends [2]*object.Path
	for n, name := range []string{"Filter", "Handler"} {
		end, _ := i.Get(name).(*object.Path)
		if end == nil {
			return "", object.Errorf(object.InvalidParameter, "%s is missing", name)
		}
		ends[n] = end
	}
	filter, destination := s.filterID(ends[0].Text("Name")), s.destinationID(ends[1])
	switch {
	case filter == "" || ends[0].Class != FilterClass:
		return "", object.Errorf(object.InvalidParameter, "Filter: there is no %s", ends[0])
	case destination == "":
		return "", object.Errorf(object.InvalidParameter, "Handler: there is no %s", ends[1])
	case s.subscriptionID(i.Path()) != "":
		return "", object.Errorf(object.AlreadyExists, "the filter is subscribed to for this destination")
	}
	i.Set("Filter", s.filterPath(filter))
	i.Set("Handler", s.destinationPath(destination))
	p.set("filter", filter)
	p.set("destination", destination)
	return idOf(filter + "--" + destination), subscriptionPatch(p, i, i.Has)
}

func subscriptionPatch(p patch, i *object.Instance, want func(string) bool) error {
	const enabledState, disabledState = 2, 4
	if state := i.Get("SubscriptionState"); want("SubscriptionState") && state != nil {
		if !slices.Contains([]any{uint16(enabledState), uint16(disabledState)}, state) {
			return object.Errorf(object.InvalidParameter, "SubscriptionState is 2 or 4")
		}
		p.set("disabled", state == uint16(disabledState))
	}
	return nil
}

// indicationPatch is patched for what belongs to indications.
func (s *State) indicationPatch(p patch, i *object.Instance, want func(string) bool) (kind, id string, err error) {
	switch i.Class().Name {
	case FilterClass:
		kind, id, err = "cim-filter", s.filterID(i.Text("Name")), s.filterPatch(p, i, want)
		if _, builtin := cib.CIMBuiltinFilters[id]; builtin {
			err = object.Errorf(object.NotSupported, "%s is built in", id)
		}
	case SubscriptionClass:
		kind, id, err = "cim-subscription", s.subscriptionID(i.Path()), subscriptionPatch(p, i, want)
	default:
		kind, id, err = "cim-destination", s.destinationID(i.Path()), destinationPatch(p, i, want)
	}
	return kind, id, err
}
