package mib

import (
	"fmt"
	"slices"
	"strings"
)

// Updated is the day of the newest revision of the module.
const Updated = "202611220000Z"

// Text writes the module for an enterprise number. It is all ASCII.
func Text(pen uint32) string {
	w := &writer{}
	w.head(pen)
	for _, g := range groups {
		w.group(g.describe())
	}
	w.notifications()
	w.conformance()
	w.f("END\n")
	return w.String()
}

type writer struct {
	strings.Builder
	statuses []string // every object, for the conformance group
	notices  []string
}

func (w *writer) f(format string, args ...any) { fmt.Fprintf(&w.Builder, format, args...) }

const lineMax = 66

// quoted writes a text as a DESCRIPTION, folded.
func (w *writer) quoted(text string) {
	line := `        "`
	for i, word := range strings.Fields(strings.ReplaceAll(text, `"`, "'")) {
		if i > 0 && len(line)+1+len(word) > lineMax {
			w.f("%s\n", line)
			line = "         "
		} else if i > 0 {
			line += " "
		}
		line += word
	}
	w.f("%s\"\n", line)
}

func (w *writer) head(pen uint32) {
	w.f(`BELAY-MIB DEFINITIONS ::= BEGIN

IMPORTS
    MODULE-IDENTITY, OBJECT-TYPE, NOTIFICATION-TYPE,
    Integer32, Unsigned32, Gauge32, Counter64, enterprises
        FROM SNMPv2-SMI
    TEXTUAL-CONVENTION, TruthValue, DateAndTime
        FROM SNMPv2-TC
    MODULE-COMPLIANCE, OBJECT-GROUP, NOTIFICATION-GROUP
        FROM SNMPv2-CONF
    SnmpAdminString
        FROM SNMP-FRAMEWORK-MIB
    InetAddressType, InetAddress
        FROM INET-ADDRESS-MIB;

belayMIB MODULE-IDENTITY
    LAST-UPDATED "%s"
    ORGANIZATION "The Belay authors"
    CONTACT-INFO
        "https://github.com/belay-ha/belay"
    DESCRIPTION
        "State of a high-availability cluster. Every object is
         read-only: the cluster is configured by other means."
    REVISION     "%s"
    DESCRIPTION
        "First version."
    ::= { belayEnterprise %d }

`, Updated, Updated, arcModule)
	if pen == DocumentationPEN {
		w.f("-- %d is the number for documentation (RFC 5612). The command\n-- 'belay snmp mib' writes the module for your own.\n", pen)
	}
	w.f(`belayEnterprise    OBJECT IDENTIFIER ::= { enterprises %d }

belayNotifications OBJECT IDENTIFIER ::= { belayMIB %d }
belayObjects       OBJECT IDENTIFIER ::= { belayMIB %d }
belayConformance   OBJECT IDENTIFIER ::= { belayMIB %d }

BelaySeverity ::= TEXTUAL-CONVENTION
    STATUS      current
    DESCRIPTION
        "Severity, with the values of ItuPerceivedSeverity of
         RFC 3877."
    SYNTAX      INTEGER { cleared(1), indeterminate(2), critical(3),
                  major(4), minor(5), warning(6) }

`, pen, arcNotifications, arcObjects, arcConformance)
}

func (s *syntax) write() string {
	if len(s.values) == 0 {
		return strings.TrimSuffix(s.name+" "+s.size, " ")
	}
	out, line := "", "INTEGER {"
	for i, v := range s.values {
		item := fmt.Sprintf(" %s(%d)", v, i+1)
		if i < len(s.values)-1 {
			item += ","
		}
		if len(line)+len(item) > lineMax-16 {
			out, line = out+line+"\n", "                 "
		}
		line += item
	}
	return out + line + " }"
}

func (w *writer) group(g groupText) {
	if !g.table {
		w.f("-- %s\n%s OBJECT IDENTIFIER ::= { belayObjects %d }\n\n", g.text, g.prefix, g.arc)
		for _, o := range g.objects {
			w.object(g.prefix, o, g.prefix, "read-only")
		}
		return
	}
	entry := strings.ToUpper(g.prefix[:1]) + g.prefix[1:] + "Entry"
	w.f("%sTable OBJECT-TYPE\n    SYNTAX      SEQUENCE OF %s\n    MAX-ACCESS  not-accessible\n    STATUS      current\n    DESCRIPTION\n", g.prefix, entry)
	w.quoted(g.text)
	w.f("    ::= { belayObjects %d }\n\n", g.arc)
	w.f("%sEntry OBJECT-TYPE\n    SYNTAX      %s\n    MAX-ACCESS  not-accessible\n    STATUS      current\n    DESCRIPTION\n        \"One row of the table.\"\n    INDEX       { %s }\n    ::= { %sTable %d }\n\n",
		g.prefix, entry, strings.Join(g.index, ", "), g.prefix, arcEntry)
	w.f("%s ::= SEQUENCE {\n", entry)
	for i, o := range g.objects {
		comma := ","
		if i == len(g.objects)-1 {
			comma = ""
		}
		w.f("    %-34s %s%s\n", g.prefix+o.name, o.syntax.name, comma)
	}
	w.f("}\n\n")
	for _, o := range g.objects {
		access := "read-only"
		if o.hidden {
			access = "not-accessible"
		}
		w.object(g.prefix, o, g.prefix+"Entry", access)
	}
}

func (w *writer) object(prefix string, o object, parent, access string) {
	w.f("%s%s OBJECT-TYPE\n    SYNTAX      %s\n", prefix, o.name, o.syntax.write())
	if o.units != "" {
		w.f("    UNITS       \"%s\"\n", o.units)
	}
	w.f("    MAX-ACCESS  %s\n    STATUS      current\n    DESCRIPTION\n", access)
	w.quoted(o.text)
	w.f("    ::= { %s %d }\n\n", parent, o.arc)
	if !o.hidden {
		w.statuses = append(w.statuses, prefix+o.name)
	}
}

const notifyPrefix = "belayNotify"

func (w *writer) notifications() {
	w.f("-- Objects that only notifications carry.\n%sObjects OBJECT IDENTIFIER ::= { belayObjects %d }\n\n", notifyPrefix, arcNotify)
	var common []string
	for _, o := range notifyCommon {
		w.object(notifyPrefix, o.object, notifyPrefix+"Objects", "accessible-for-notify")
		common = append(common, notifyPrefix+o.name)
	}
	for i := range argNames {
		w.object(notifyPrefix, argObject(i), notifyPrefix+"Objects", "accessible-for-notify")
	}
	w.notification("Heartbeat", Heartbeat, heartbeatText, slices.Concat(common, []string{"belayClusterState"}))
	for _, d := range Notified() {
		objects := slices.Clone(common)
		for _, a := range d.Args {
			objects = append(objects, notifyPrefix+"Arg"+title(a))
		}
		about := d.Title + ": " + d.Text + "."
		if d.Remedy != "" {
			about += " Remedy: " + d.Remedy
		}
		w.notification(title(d.Name), d.Number, about, objects)
	}
}

func (w *writer) notification(name string, number int, text string, objects []string) {
	w.f("belay%sEvent NOTIFICATION-TYPE\n    OBJECTS     { %s }\n    STATUS      current\n    DESCRIPTION\n", name, strings.Join(objects, ",\n                  "))
	w.quoted(text)
	w.f("    ::= { belayNotifications %d }\n\n", number)
	w.notices = append(w.notices, "belay"+name+"Event")
}

func (w *writer) conformance() {
	w.f(`belayCompliances   OBJECT IDENTIFIER ::= { belayConformance 1 }
belayGroups        OBJECT IDENTIFIER ::= { belayConformance 2 }

belayCompliance MODULE-COMPLIANCE
    STATUS      current
    DESCRIPTION
        "What an agent of a cluster shows."
    MODULE
    MANDATORY-GROUPS { belayObjectGroup, belayNotificationGroup }
    ::= { belayCompliances 1 }

belayObjectGroup OBJECT-GROUP
    OBJECTS     { %s }
    STATUS      current
    DESCRIPTION
        "All objects."
    ::= { belayGroups 1 }

belayNotificationGroup NOTIFICATION-GROUP
    NOTIFICATIONS { %s }
    STATUS      current
    DESCRIPTION
        "All notifications."
    ::= { belayGroups 2 }

`, strings.Join(w.statuses, ",\n                  "), strings.Join(w.notices, ",\n                    "))
}
