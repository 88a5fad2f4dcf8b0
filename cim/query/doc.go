// Package query reads and evaluates the queries of CIM: the core of WQL and of DMTF:CQL
// (DSP0202), and the filters of DMTF:FQL (DSP0212).
//
//	SELECT Name, EnabledState FROM Belay_Node WHERE EnabledState <> 2 AND NOT Name LIKE 'a%'
//	SELECT * FROM CIM_InstModification WHERE SourceInstance ISA Belay_Node AND SourceInstance.EnabledState <> PreviousInstance.EnabledState
//	OperationalStatus[0] = 2 OR ANY CurrentNodes = 'n1'
//
// Comparisons are =, <>, <, <=, >, >=, LIKE, ISA, IS NULL and IS NOT NULL; conditions are
// joined by NOT, AND and OR. What is compared with NULL is neither true nor false. LIKE has % and _ in
// WQL, and the dot, the asterisk and the backslash of DSP0004 in the others.
//
// A query is bounded in length and depth, and looks at one instance at a time, in a time
// that grows with the length of both.
package query

// The languages.
const (
	WQL = "WQL"
	CQL = "DMTF:CQL"
	FQL = "DMTF:FQL"
)
