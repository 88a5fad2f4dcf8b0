package object

import "iter"

// Source is what one caller may see at one moment. Whatever is read from it agrees with
// itself, because nothing in it changes; it is asked by one goroutine. The classes that
// it is given are those of the namespace's schema, and namespaces have their canonical
// names.
//
// An error ends a sequence. [AccessDenied] says that the caller may not see a class;
// the server leaves such a class out where its superclass was asked for.
type Source interface {
	// Instances yields the instances that were made from exactly this class, in an
	// order that stays the same.
	Instances(namespace string, c *Class) iter.Seq2[*Instance, error]
	// Get returns the instance with this path, or an error, such as [NotFound]. The
	// keys are those of the class, with the right types.
	Get(path *Path) (*Instance, error)
	// References yields the instances that were made from exactly this association
	// and refer to the object with this path, be it there or not.
	References(path *Path, association *Class) iter.Seq2[*Instance, error]
}

// Call is the call of a method.
type Call struct {
	Path   *Path // of the instance; of the class, without keys, for a static method
	Class  *Class
	Method *Method
	In     Arguments
}

// Argument is a parameter with its value.
type Argument struct {
	Parameter *Parameter
	Value     any
}

// Arguments are those of one call or of its answer.
type Arguments []Argument

// Get is the value of an argument; nil for NULL and where it was left out.
func (a Arguments) Get(name string) any {
	for i := range a {
		if Same(a[i].Parameter.Name, name) {
			return a[i].Value
		}
	}
	return nil
}

// Text is the value of a string; "" for NULL and where it was left out.
func (a Arguments) Text(name string) string {
	s, _ := a.Get(name).(string)
	return s
}

// Result is the answer of a method.
type Result struct {
	Return any // of the method's type
	Out    Arguments
}

// Out makes a result; out are the names of output parameters and natural values by
// turns. It panics, like [Instance.Set], when they are not those of the method.
func (c *Call) Out(value any, out ...any) *Result {
	v, err := Convert(value, c.Method.Return)
	if err != nil {
		panic(c.Class.Name + "." + c.Method.Name + ": " + err.Error())
	}
	r := &Result{Return: v}
	for n := 0; n+1 < len(out); n += 2 {
		name, _ := out[n].(string)
		p := c.Method.Parameter(name)
		if p == nil || !p.Out {
			panic(c.Class.Name + "." + c.Method.Name + " has no output parameter " + name)
		}
		v, err := Convert(out[n+1], p.Kind)
		if err != nil {
			panic(c.Class.Name + "." + c.Method.Name + "." + name + ": " + err.Error())
		}
		r.Out = append(r.Out, Argument{Parameter: p, Value: v})
	}
	return r
}
