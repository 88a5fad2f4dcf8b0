// Package object is the vocabulary of CIM (DSP0004): types, classes, instances, object
// paths and error codes, and the way in which a server asks for instances. It is plain
// data, without I/O and without a clock.
//
// # Values
//
// A value is a Go value of one of these types. Nothing else is ever in an [Instance].
//
//	uint8 … uint64, int8 … int64   uint8 … uint64, sint8 … sint64
//	float32, float64               real32, real64
//	bool, string                   boolean, string
//	Char16, DateTime               char16, datetime
//	*Path                          reference
//	*Instance                      string with EmbeddedInstance or EmbeddedObject
//	*Class                         string with EmbeddedObject
//	[]any                          an array; its elements are one of these, or nil
//	nil                            NULL
//
// # Instances
//
// An instance is made from its class, and knows its properties' types. Set takes the
// natural Go value and makes the right type from it, so an int, a time.Time and a
// []string are good, too. What is not set is the default of the class, or NULL.
//
//	node := schema.Class("Belay_Node").New("root/cimv2")
//	node.Set("Name", "n1")
//	node.Set("EnabledState", 2)                  // uint16, as the class says
//	node.Set("OperationalStatus", []int{2})
//	node.Set("OnlineSince", time.Now().UTC())    // datetime
//
// A name that the class does not have, or a value that is not of its type, is a
// mistake of the program: Set panics. What comes from clients goes through [Instance.Put],
// which returns an error with the code of DSP0200.
//
// The path of an instance comes from its keys: [Instance.Path]. Its class is the one it
// was made from, which is its creation class. Names of classes, properties, methods and
// namespaces are compared without case, values of strings with it. [Path.Key] is the
// text by which paths are equal, for maps.
//
// # Between server and model
//
// The server asks a [Source] for what is there at one moment. It does the rest of an
// operation by itself: subclasses, property lists, the other end of associations,
// filters, the order of properties, class origin. So a Source is small:
//
//	func (v *view) Instances(namespace string, c *object.Class) iter.Seq2[*object.Instance, error] {
//		return func(yield func(*object.Instance, error) bool) {
//			if namespace != "root/cimv2" || !c.Is("Belay_Node") {
//				return
//			}
//			for i := range v.summary.Nodes {
//				if !yield(v.node(&v.summary.Nodes[i]), nil) {
//					return
//				}
//			}
//		}
//	}
//
// Changes come in as functions with a context, which cim/server declares (Session): they
// are for mgmtd to make, in the name of whoever asks.
package object
