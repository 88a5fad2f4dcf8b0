package cib

import (
	"maps"
	"net/url"
	"slices"
	"strings"
)

// CIMFilter says which indications are meant. Clients make it as CIM_IndicationFilter.
type CIMFilter struct {
	Name       string   `json:"name,omitempty"`       // as the client named it; default: the id
	Query      string   `json:"query"`                // such as SELECT * FROM Belay_ClusterEvent
	Language   string   `json:"language"`             // WQL or DMTF:CQL
	Namespaces []string `json:"namespaces,omitempty"` // of the objects that it is about; default root/cimv2
	Owner      string   `json:"owner,omitempty"`      // who made it
}

// CIMDestination is a listener for indications. Clients make it as
// CIM_ListenerDestinationCIMXML.
type CIMDestination struct {
	Name     string `json:"name,omitempty"`     // as the client named it; default: the id
	URL      string `json:"url"`                // https://HOST:PORT/PATH, without user and password
	Older    bool   `json:"older,omitempty"`    // it is shown as CIM_IndicationHandlerCIMXML, for older clients
	User     string `json:"user,omitempty"`     // for the listener
	Password string `json:"password,omitempty"` // for the listener
	CA       string `json:"ca,omitempty"`       // PEM: who vouches for the listener, or its own certificate; default: whom the node trusts
	Owner    string `json:"owner,omitempty"`    // who made it
}

// CIMSubscription sends the indications of a filter to a destination.
type CIMSubscription struct {
	Filter      string `json:"filter"`             // a filter, or one of the built-in ones
	Destination string `json:"destination"`        // a destination
	Disabled    bool   `json:"disabled,omitempty"` // nothing is sent; what happens meanwhile is sent later, as far as it is kept
	Owner       string `json:"owner,omitempty"`    // who made it
}

// CIMBuiltinFilters are filters that every cluster has, by id, with their queries in
// DMTF:CQL.
var CIMBuiltinFilters = map[string]string{
	"belay-events":    "SELECT * FROM Belay_ClusterEvent",
	"belay-alarms":    "SELECT * FROM Belay_ClusterEvent WHERE PerceivedSeverity > 2 OR Cleared = TRUE",
	"belay-lifecycle": "SELECT * FROM CIM_InstIndication",
}

// CIM limits.
const (
	CIMObjectsMax = 500 // filters, destinations and subscriptions, each
	cimQueryMax   = 4096
)

// cimLanguages are the query languages of filters.
var cimLanguages = []string{"WQL", "DMTF:CQL"}

// secrets of a destination by name.
func (d *CIMDestination) secrets() map[string]string {
	if d.Password == "" {
		return nil
	}
	return map[string]string{"password": d.Password}
}

func (d *CIMDestination) withSecrets(m map[string]string) *CIMDestination {
	out := *d
	out.Password = m["password"]
	return &out
}

// OpenCIMDestinations returns the destinations of a configuration with their passwords
// opened.
func OpenCIMDestinations(c *Config, open func(object, value string) (string, error)) (map[string]*CIMDestination, error) {
	out, err := mapSecrets(&Config{CIMDestinations: c.CIMDestinations}, nil, func(at place, value string) (string, error) { return open(at.object(), value) })
	return out.CIMDestinations, err
}

// cim checks everything about indications.
func (v *validator) cim() {
	for _, x := range []struct {
		field string
		n     int
	}{{"cim-filters", len(v.c.CIMFilters)}, {"cim-destinations", len(v.c.CIMDestinations)}, {"cim-subscriptions", len(v.c.CIMSubscriptions)}} {
		if x.n > CIMObjectsMax {
			v.fault(x.field, "has %d entries; %d are possible", x.n, CIMObjectsMax)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(v.c.CIMFilters)) {
		v.cimFilter(id, v.c.CIMFilters[id])
	}
	for _, id := range slices.Sorted(maps.Keys(v.c.CIMDestinations)) {
		v.cimDestination(id, v.c.CIMDestinations[id])
	}
	for _, id := range slices.Sorted(maps.Keys(v.c.CIMSubscriptions)) {
		p, s := join("cim-subscriptions", id, false), v.c.CIMSubscriptions[id]
		v.id(p, id, IDMax)
		if !v.present(p, s != nil) {
			continue
		}
		if _, builtin := CIMBuiltinFilters[s.Filter]; !builtin && v.c.CIMFilters[s.Filter] == nil {
			v.fault(p+".filter", "there is no filter %q", shorten(s.Filter))
		}
		if v.c.CIMDestinations[s.Destination] == nil {
			v.fault(p+".destination", "there is no destination %q", shorten(s.Destination))
		}
	}
}

func (v *validator) cimFilter(id string, f *CIMFilter) {
	p := join("cim-filters", id, false)
	v.id(p, id, IDMax)
	if !v.present(p, f != nil) {
		return
	}
	if _, builtin := CIMBuiltinFilters[id]; builtin {
		v.fault(p, "is a built-in filter: choose another name")
	}
	v.cimName(p, f.Name)
	if strings.TrimSpace(f.Query) == "" || len(f.Query) > cimQueryMax {
		v.fault(p+".query", "has 1 to %d bytes", cimQueryMax)
	}
	v.oneOf(p+".language", f.Language, cimLanguages...)
	if len(f.Namespaces) > 10 {
		v.fault(p+".namespaces", "has %d entries; 10 are possible", len(f.Namespaces))
	}
}

func (v *validator) cimName(p, name string) {
	const nameMax = 256 // CIM_IndicationFilter.Name
	if len(name) > nameMax {
		v.fault(p+".name", "has %d bytes; %d are possible", len(name), nameMax)
	}
}

func (v *validator) cimDestination(id string, d *CIMDestination) {
	p := join("cim-destinations", id, false)
	v.id(p, id, IDMax)
	if !v.present(p, d != nil) {
		return
	}
	v.cimName(p, d.Name)
	u, err := url.Parse(d.URL)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "" || len(d.URL) > 1024:
		v.fault(p+".url", "%q is no URL of a listener: write https://HOST:PORT/PATH", shorten(d.URL))
	case u.Scheme != "https" && u.Scheme != "http":
		v.fault(p+".url", "%q is neither https nor http", shorten(u.Scheme))
	case u.User != nil:
		v.fault(p+".url", "holds a user: write it into user and password")
	case u.Scheme == "http" && (d.User != "" || d.Password != ""):
		v.fault(p+".url", "a password needs https")
	}
	if len(d.User) > IDMax || strings.ContainsAny(d.User, ":\r\n") {
		v.fault(p+".user", "has at most %d characters, without a colon", IDMax)
	}
	if !Sealed(d.Password) && len(d.Password) > IDMax {
		v.fault(p+".password", "has at most %d characters", IDMax)
	}
	if d.Password == Redacted {
		v.fault(p+".password", "is the placeholder of a secret: write the secret itself")
	}
}
