package membership

import "github.com/belay-ha/belay/engine/cib"

// Choose returns the members of the next view, sorted by name, and why: the
// largest set of voters that all hear each other, and the other nodes heard by
// enough of them. The chooser itself need not be among them; then it must not
// stay the DC.
func Choose(h Hearing, in ChooseInput) (members []cib.ViewMember, reason string) { return nil, "" }
