package mib

import (
	"fmt"
	"strings"
)

// lookups are the columns that name the row of an index.
var lookups = map[string]string{
	"belayNodeIndex": "belayNodeName", "belayLinkPeer": "belayNodeName", "belayResourceIndex": "belayResourceName",
	"belayQuorumDeviceIndex": "belayQuorumDeviceName", "belayFenceDeviceIndex": "belayFenceDeviceName",
	"belayAlarmIndex": "belayAlarmCode",
}

// exporterSkips are tables of what has happened: a time series of them is of no use.
var exporterSkips = map[string]bool{"belayFenceEvent": true, "belayFailover": true}

// ExporterModule writes a module of Prometheus' snmp_exporter (0.23 and newer) for the
// numbers and states of the MIB, with names for the indexes.
func ExporterModule(pen uint32) string {
	var b strings.Builder
	f := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	root := Root(pen).Child(arcObjects)
	oids := map[string]OID{}
	for _, g := range groups {
		d := g.describe()
		for _, o := range d.objects {
			at := root.Child(d.arc, o.arc)
			if d.table {
				at = root.Child(d.arc, arcEntry, o.arc)
			}
			oids[d.prefix+o.name] = at
		}
	}
	f("# For the section \"modules\" of snmp_exporter's configuration.\nbelay:\n  walk:\n")
	for _, g := range groups {
		if d := g.describe(); !exporterSkips[d.prefix] {
			f("    - %s\n", root.Child(d.arc))
		}
	}
	f("  metrics:\n")
	for _, g := range groups {
		d := g.describe()
		for _, o := range d.objects {
			kind := exporterType(&o.syntax)
			if kind == "" || o.hidden || exporterSkips[d.prefix] {
				continue
			}
			f("    - name: %s%s\n      oid: %s\n      type: %s\n      help: %q\n", d.prefix, o.name, oids[d.prefix+o.name], kind, o.text)
			if d.table {
				f("      indexes:\n")
				for _, i := range d.index {
					f("        - labelname: %s\n          type: gauge\n", i)
				}
				f("      lookups:\n")
				for _, i := range d.index {
					if name := lookups[i]; name != "" {
						label := strings.TrimSuffix(strings.TrimSuffix(i, "Index"), "Peer")
						if i == "belayLinkPeer" {
							label = "belayPeer"
						}
						f("        - labels: [%s]\n          labelname: %s\n          oid: %s\n          type: DisplayString\n", i, label+"Name", oids[name])
					}
				}
			}
			if kind == "EnumAsStateSet" {
				f("      enum_values:\n")
				for n, v := range o.syntax.values {
					f("        %d: %s\n", n+1, v)
				}
			}
		}
	}
	return b.String()
}

func exporterType(s *syntax) string {
	switch {
	case len(s.values) > 0:
		return "EnumAsStateSet"
	case s.name == "InetAddressType":
		return ""
	case s.base == Counter64:
		return "counter"
	case s.base == Gauge32 || s.base == Integer:
		return "gauge"
	}
	return ""
}
