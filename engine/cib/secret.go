package cib

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// SealedPrefix begins the value of a secret parameter in the store: what follows
// is encrypted with the cluster's key.
const SealedPrefix = "sealed:v1:"

// Redacted stands for a secret wherever people or programs look. Written back, it
// means that the secret stays as it is.
const Redacted = "********"

// redactedNew stands for a secret that a change has replaced, so that a diff does
// not show two equal lines.
const redactedNew = "******** (changed)"

// Secret says whether a parameter of an agent is secret, from the agent's
// metadata. nil: only well-known names are.
type Secret func(agent, parameter string) bool

// Sealed says whether a value is sealed.
func Sealed(value string) bool { return strings.HasPrefix(value, SealedPrefix) }

// wellKnownSecrets are parts of names of parameters whose values are secret
// whatever the agent's metadata say.
var wellKnownSecrets = []string{"passw", "passphrase", "secret", "token", "credential", "private_key", "privkey", "api_key", "apikey", "access_key", "community", "hexadecimal_kg"}

// wellKnownSecretNames are secrets that no part of the name gives away.
var wellKnownSecretNames = []string{"pw", "pin", "key", "auth_key", "authkey"}

// IsSecretName says whether a parameter with this name is secret by its name
// alone. Names of files and scripts that hold a secret are not.
func IsSecretName(name string) bool {
	n := strings.ToLower(strings.ReplaceAll(name, "-", "_"))
	for _, end := range []string{"_script", "_file", "_path", "_dir", "_timeout", "_length"} {
		if strings.HasSuffix(n, end) {
			return false
		}
	}
	if slices.Contains(wellKnownSecretNames, n) || strings.HasSuffix(n, "_pw") || strings.HasSuffix(n, "_pin") {
		return true
	}
	return slices.ContainsFunc(wellKnownSecrets, func(w string) bool { return strings.Contains(n, w) })
}

// hides says whether the value must not be shown.
func (s Secret) hides(agent, name, value string) bool {
	if value == "" {
		return false
	}
	return Sealed(value) || value == Redacted || IsSecretName(name) || s != nil && s(agent, name)
}

// Redact returns the configuration with a placeholder for every secret. Objects
// without a secret are shared with c.
func Redact(c *Config, secret Secret) *Config {
	out, _ := mapSecrets(c, secret, func(_ place, _ string) (string, error) { return Redacted, nil })
	return out
}

// Seal returns the configuration with every secret sealed. Where old has the same
// secret at the same place, its sealed value is kept: a new one would look like a
// change. seal and open are told what the value belongs to, see [SealObject].
func Seal(c, old *Config, secret Secret, seal, open func(object, value string) (string, error)) (*Config, error) {
	return mapSecrets(c, secret, func(at place, value string) (string, error) {
		if Sealed(value) {
			return value, nil
		}
		if before, ok := at.in(old); ok && Sealed(before) {
			if plain, err := open(at.object(), before); err == nil && plain == value {
				return before, nil
			}
		}
		return seal(at.object(), value)
	})
}

// keepSecrets puts the secrets of old where c has their placeholder, and refuses
// sealed values from elsewhere: they could be opened through a parameter that an
// agent prints.
func keepSecrets(c, old *Config) (*Config, []Fault) {
	var faults []Fault
	out, _ := mapSecrets(c, nil, func(at place, value string) (string, error) {
		before, ok := at.in(old)
		switch {
		case value == Redacted && ok:
			return before, nil
		case Sealed(value) && value != before:
			faults = append(faults, Fault{at.path(), "a sealed value cannot be written: write the secret itself"})
		}
		return value, nil
	})
	return out, faults
}

// place names one parameter in a configuration.
type place struct {
	section string // resources, fence-devices, quorum-devices, snmp-users, cim-destinations, webhooks, mail-targets
	id      string
	op      int // index of the operation; -1: the object's own parameters
	name    string
}

func (p place) path() string {
	at := join(p.section, p.id, false)
	if slices.Contains([]string{sectionSNMPUsers, sectionCIMDestinations, sectionWebhooks, sectionMailTargets}, p.section) {
		return join(at, p.name, false)
	}
	if p.op >= 0 {
		at = fmt.Sprintf("%s.operations[%d]", at, p.op)
	}
	return join(at+".parameters", p.name, false)
}

// object names what the parameter belongs to.
func (p place) object() string {
	prefix := map[string]string{
		"resources": KeyResource, "fence-devices": KeyFenceDevice, "quorum-devices": KeyQuorumDevice, sectionSNMPUsers: KeySNMPUser, sectionCIMDestinations: KeyCIMDestination,
		sectionWebhooks: KeyWebhook, sectionMailTargets: KeyMailTarget,
	}[p.section]
	return SealObject(prefix+p.id, p.name)
}

// SealObject names what a sealed value belongs to: the key of the document and
// the parameter. A value opens only for the same object.
func SealObject(key, parameter string) string { return key + "#" + parameter }

// in returns the value at the same place of another configuration.
func (p place) in(c *Config) (string, bool) {
	if c == nil {
		return "", false
	}
	var m map[string]string
	switch p.section {
	case "resources":
		if r := c.Resources[p.id]; r != nil && p.op < 0 {
			m = r.Parameters
		} else if r != nil && p.op < len(r.Operations) {
			m = r.Operations[p.op].Parameters
		}
	case "fence-devices":
		if d := c.FenceDevices[p.id]; d != nil {
			m = d.Parameters
		}
	case "quorum-devices":
		if d := c.QuorumDevices[p.id]; d != nil {
			m = d.Parameters
		}
	case sectionSNMPUsers:
		if u := c.SNMPUsers[p.id]; u != nil {
			m = u.secrets()
		}
	case sectionCIMDestinations:
		if d := c.CIMDestinations[p.id]; d != nil {
			m = d.secrets()
		}
	case sectionWebhooks:
		if w := c.Webhooks[p.id]; w != nil {
			m = w.secrets()
		}
	case sectionMailTargets:
		if t := c.MailTargets[p.id]; t != nil {
			m = t.secrets()
		}
	}
	v, ok := m[p.name]
	return v, ok
}

// mapSecrets returns a configuration in which f has replaced every value that is
// secret. It changes nothing in c and shares what does not change. The error is
// f's first; the values after it are still mapped.
func mapSecrets(c *Config, secret Secret, f func(at place, value string) (string, error)) (*Config, error) {
	out := *c
	var failed error
	values := func(at place, agent string, m map[string]string) (map[string]string, bool) {
		result, changed := m, false
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if !secret.hides(agent, name, m[name]) {
				continue
			}
			at.name = name
			v, err := f(at, m[name])
			if err != nil && failed == nil {
				failed = fmt.Errorf("%s: %w", at.path(), err)
			}
			if err != nil || v == m[name] {
				continue
			}
			if !changed {
				result, changed = maps.Clone(m), true
			}
			result[name] = v
		}
		return result, changed
	}
	out.Resources = mapObjects(c.Resources, func(id string, r *Resource) *Resource {
		n := *r
		var changed bool
		n.Parameters, changed = values(place{"resources", id, -1, ""}, r.Agent, r.Parameters)
		for i := range r.Operations {
			m, opChanged := values(place{"resources", id, i, ""}, r.Agent, r.Operations[i].Parameters)
			if !opChanged {
				continue
			}
			if &n.Operations[0] == &r.Operations[0] {
				n.Operations = slices.Clone(r.Operations)
			}
			n.Operations[i].Parameters, changed = m, true
		}
		if !changed {
			return r
		}
		return &n
	})
	out.FenceDevices = mapObjects(c.FenceDevices, func(id string, d *FenceDevice) *FenceDevice {
		n := *d
		var changed bool
		if n.Parameters, changed = values(place{"fence-devices", id, -1, ""}, d.Agent, d.Parameters); !changed {
			return d
		}
		return &n
	})
	out.QuorumDevices = mapObjects(c.QuorumDevices, func(id string, d *QuorumDevice) *QuorumDevice {
		n := *d
		var changed bool
		if n.Parameters, changed = values(place{"quorum-devices", id, -1, ""}, "quorum:"+d.Kind.String(), d.Parameters); !changed {
			return d
		}
		return &n
	})
	out.SNMPUsers = mapObjects(c.SNMPUsers, func(id string, u *SNMPUser) *SNMPUser {
		m, changed := values(place{sectionSNMPUsers, id, -1, ""}, "snmp", u.secrets())
		if !changed {
			return u
		}
		return u.withSecrets(m)
	})
	out.CIMDestinations = mapObjects(c.CIMDestinations, func(id string, d *CIMDestination) *CIMDestination {
		m, changed := values(place{sectionCIMDestinations, id, -1, ""}, "cim", d.secrets())
		if !changed {
			return d
		}
		return d.withSecrets(m)
	})
	out.Webhooks = mapObjects(c.Webhooks, func(id string, w *Webhook) *Webhook {
		m, changed := values(place{sectionWebhooks, id, -1, ""}, "webhook", w.secrets())
		if !changed {
			return w
		}
		return w.withSecrets(m)
	})
	out.MailTargets = mapObjects(c.MailTargets, func(id string, t *MailTarget) *MailTarget {
		m, changed := values(place{sectionMailTargets, id, -1, ""}, "mail", t.secrets())
		if !changed {
			return t
		}
		return t.withSecrets(m)
	})
	return &out, failed
}

// Sections whose secrets are fields, not parameters.
const (
	sectionSNMPUsers       = "snmp-users"
	sectionCIMDestinations = "cim-destinations"
	sectionWebhooks        = "webhooks"
	sectionMailTargets     = "mail-targets"
)

// mapObjects returns m itself where f changes nothing.
func mapObjects[V any](m map[string]*V, f func(id string, v *V) *V) map[string]*V {
	out, copied := m, false
	for _, id := range slices.Sorted(maps.Keys(m)) {
		if m[id] == nil {
			continue
		}
		n := f(id, m[id])
		if n == m[id] {
			continue
		}
		if !copied {
			out, copied = maps.Clone(m), true
		}
		out[id] = n
	}
	return out
}

// RedactChanges returns the changes with a placeholder for every secret. A secret
// that a change has replaced is marked as changed.
func RedactChanges(changes []Changed, secret Secret) []Changed {
	out := slices.Clone(changes)
	for i := range out {
		ch := &out[i]
		before, err1 := FromDocuments(documentOf(ch.Key, ch.Before))
		after, err2 := FromDocuments(documentOf(ch.Key, ch.After))
		if err1 != nil || err2 != nil {
			// A document of another version: what cannot be read cannot be cleaned.
			ch.Before, ch.After = unreadable(ch.Before), unreadable(ch.After)
			continue
		}
		marked, _ := mapSecrets(after, secret, func(at place, value string) (string, error) {
			if old, ok := at.in(before); ok && old != value {
				return redactedNew, nil
			}
			return Redacted, nil
		})
		ch.Before = onlyDocument(Redact(before, secret), ch.Key)
		ch.After = onlyDocument(marked, ch.Key)
	}
	return out
}

func documentOf(key string, doc json.RawMessage) map[string]json.RawMessage {
	if doc == nil {
		return nil
	}
	return map[string]json.RawMessage{key: doc}
}

func onlyDocument(c *Config, key string) json.RawMessage { return Documents(c)[key] }

func unreadable(doc json.RawMessage) json.RawMessage {
	if doc == nil {
		return nil
	}
	return json.RawMessage(`"not readable by this version"`)
}
