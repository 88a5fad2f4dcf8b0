// Package cimxml is the codec of CIM-XML: DSP0201 2.4 with the DTD of DSP0203.
//
// A request is decoded to values whose types are not known yet: the classes tell them,
// and cim/server asks the classes. Answers are written as they are made, through a
// [Writer], from the values of cim/object.
//
// What comes in is bounded ([MaxBytes], [MaxDepth], [MaxElements]), is one document in
// UTF-8, has no DOCTYPE, and has no elements but those of the DTD where the DTD has them.
// Attributes that are not known are ignored.
package cimxml
