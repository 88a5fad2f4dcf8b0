package cib

import "time"

// Parents maps every resource that is in a group or clone to the one that holds
// it directly.
func (c *Config) Parents() map[string]string { return newValidator(c).parent }

// MetaOf returns the meta attributes of a resource with everything it inherits:
// from its group, its clone, then the cluster's defaults as they hold at a time.
// What is set nowhere stays unset. parents is the result of [Config.Parents].
func (c *Config) MetaOf(id string, parents map[string]string, now time.Time) Meta {
	var m Meta
	agent := ""
	if r := c.Resources[id]; r != nil {
		agent = r.Agent
	}
	for range 3 { // primitive, group, clone
		r := c.Resources[id]
		if r == nil {
			break
		}
		m.inherit(&r.Meta)
		if id = parents[id]; id == "" {
			break
		}
	}
	defaults := c.Cluster.DefaultsFor(agent, now)
	m.inherit(&defaults)
	return m
}

// inherit fills what is not set.
func (m *Meta) inherit(from *Meta) {
	fill(&m.TargetRole, from.TargetRole)
	fill(&m.Managed, from.Managed)
	fill(&m.Maintenance, from.Maintenance)
	fill(&m.Priority, from.Priority)
	fill(&m.Stickiness, from.Stickiness)
	fill(&m.MigrationThreshold, from.MigrationThreshold)
	fill(&m.FailureTimeout, from.FailureTimeout)
	fill(&m.MultipleActive, from.MultipleActive)
	fill(&m.AllowMigrate, from.AllowMigrate)
	fill(&m.AllowUnhealthy, from.AllowUnhealthy)
	fill(&m.Critical, from.Critical)
	fill(&m.Requires, from.Requires)
	fill(&m.Data, from.Data)
}

func fill[T comparable](dst *T, from T) {
	var zero T
	if *dst == zero {
		*dst = from
	}
}

// IsManaged returns is-managed.
func (m *Meta) IsManaged() bool { return set(m.Managed, true) }

// InMaintenance returns maintenance.
func (m *Meta) InMaintenance() bool { return set(m.Maintenance, false) }

// FailuresExpireAfter returns failure-timeout; 0 means that they do not.
func (m *Meta) FailuresExpireAfter() Duration { return set(m.FailureTimeout, 0) }
