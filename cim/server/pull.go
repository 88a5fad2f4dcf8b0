package server

import (
	"crypto/rand"
	"iter"
	"sync"
	"time"

	"github.com/belay-ha/belay/cim/cimxml"
	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/cim/query"
)

// Limits of pulled enumerations.
const (
	timeoutMax = 10 * time.Minute // of an enumeration between two pulls
	objectsMax = 10_000           // of one answer; a client that asks for more gets less
)

// pulls are the open enumerations of a server.
type pulls struct {
	sync.Mutex
	*enumerations
}

// Expire ends the enumerations whose time is over. It should be called now and then; an
// enumeration that is over is not pulled in any case.
func (s *Server) Expire() {
	s.pulls.Lock()
	over := s.pulls.expire(s.opts.Now())
	s.pulls.Unlock()
	for _, e := range over {
		e.stop()
	}
}

// Open is how many enumerations are open.
func (s *Server) Open() int {
	s.pulls.Lock()
	defer s.pulls.Unlock()
	return len(s.pulls.open)
}

func (c *call) openEnumerateInstances() error {
	class, s, err := c.enumeration()
	if err != nil {
		return err
	}
	return c.open(pullWithPath, s, class, c.instances(class))
}

func (c *call) openEnumerateInstancePaths() error {
	class, err := c.theClass(object.InvalidClass)
	if err != nil {
		return err
	}
	return c.open(pullPaths, nil, class, c.instances(class))
}

func (c *call) openReferenceInstances() error     { return c.openLinks(pullWithPath) }
func (c *call) openReferenceInstancePaths() error { return c.openLinks(pullPaths) }

func (c *call) openLinks(kind pullKind) error {
	s, err := c.search("InstanceName", "ResultClass", "")
	if err != nil {
		return err
	}
	return c.openSearch(kind, s, s.assoc, c.links(s))
}

func (c *call) openAssociatorInstances() error     { return c.openOthers(pullWithPath) }
func (c *call) openAssociatorInstancePaths() error { return c.openOthers(pullPaths) }

func (c *call) openOthers(kind pullKind) error {
	s, err := c.search("InstanceName", "AssocClass", "ResultClass")
	if err != nil {
		return err
	}
	return c.openSearch(kind, s, s.result, c.others(s))
}

func (c *call) openSearch(kind pullKind, s *search, class *object.Class, list iter.Seq2[*object.Instance, error]) error {
	if _, err := c.get(s.path); err != nil {
		return err
	}
	sh, err := c.shape()
	if err != nil {
		return err
	}
	return c.open(kind, sh, class, list)
}

// filtered keeps what a query asks for.
func filtered(list iter.Seq2[*object.Instance, error], q *query.Query) iter.Seq2[*object.Instance, error] {
	return func(yield func(*object.Instance, error) bool) {
		for i, err := range list {
			if err == nil && !q.Match(i) {
				continue
			}
			if !yield(i, err) {
				return
			}
		}
	}
}

// filter reads the filter of an Open operation; class is that of what is enumerated, nil
// where it may be any.
func (c *call) filter(class *object.Class) (*query.Query, error) {
	language, err := c.text("FilterQueryLanguage")
	if err != nil {
		return nil, err
	}
	text, err := c.text("FilterQuery")
	switch {
	case err != nil:
		return nil, err
	case language == "" && text == "":
		return nil, nil
	case language == "" || text == "":
		return nil, c.bad("FilterQuery", "it comes with FilterQueryLanguage")
	}
	q, err := query.ParseFilter(language, text)
	if err == nil && class != nil {
		err = q.Check(class)
	}
	return q, err
}

// open begins an enumeration and answers with its first instances.
func (c *call) open(kind pullKind, s *shape, class *object.Class, list iter.Seq2[*object.Instance, error]) error {
	q, err := c.filter(class)
	if err != nil {
		return err
	}
	if q != nil {
		list = filtered(list, q)
	}
	return c.start(&enumeration{kind: kind, shape: s}, list, nil)
}

// start reads the parameters that all Open operations have, and takes the enumeration up.
// between writes what stands between the instances and the context.
func (c *call) start(e *enumeration, list iter.Seq2[*object.Instance, error], between func()) error {
	seconds, given, err := c.number("OperationTimeout")
	if err != nil {
		return err
	}
	e.timeout = c.server.opts.Timeout
	if given {
		e.timeout = time.Duration(seconds) * time.Second
	}
	if e.timeout <= 0 || e.timeout > timeoutMax {
		return object.Errorf(object.InvalidTimeout, "between 1 and %d seconds are supported", int(timeoutMax.Seconds()))
	}
	on, err := c.flag("ContinueOnError", false)
	if err != nil {
		return err
	}
	if on {
		return object.Errorf(object.ContinuationNotSupport, "an enumeration ends with its first error")
	}
	count, _, err := c.number("MaxObjectCount")
	if err != nil {
		return err
	}
	c.server.Expire()
	e.user, e.namespace, e.busy = c.who.User(), c.schema.Namespace, true
	e.next, e.stop = iter.Pull2(list)
	id := rand.Text()
	c.server.pulls.Lock()
	err = c.server.pulls.add(id, e, c.server.opts.Now())
	c.server.pulls.Unlock()
	if err != nil {
		e.stop()
		return err
	}
	if err := e.advance(); err != nil {
		c.finish(id, e, true)
		return err
	}
	return c.batch(id, e, count, between)
}

// batch writes the next instances and the context. Whatever happens, even a panic of the
// model, the enumeration is free again or gone.
func (c *call) batch(id string, e *enumeration, count uint32, between func()) (err error) {
	whole := false
	defer func() { c.finish(id, e, !whole || e.ahead == nil) }()
	c.out.ReturnValue()
	for n := uint32(0); n < min(count, objectsMax) && e.ahead != nil; n++ {
		switch i := e.ahead; e.kind {
		case pullWithPath:
			c.out.InstanceWithPath(c.host, i, e.shape.view(i.Class()))
		case pullPaths:
			c.out.InstancePath(c.host, i.Path())
		case pullInstances:
			c.out.Instance(i, e.shape.view(i.Class()))
		}
		if err := e.advance(); err != nil {
			return err
		}
	}
	c.out.EndReturnValue()
	if between != nil {
		between()
	}
	shown := id
	if e.ahead == nil {
		shown = "" // there is nothing more to pull
	}
	c.out.ParamValue("EnumerationContext", object.Kind{Type: object.String}, shown)
	c.out.ParamValue("EndOfSequence", object.Kind{Type: object.Boolean}, e.ahead == nil)
	whole = true
	return nil
}

func (c *call) finish(id string, e *enumeration, over bool) {
	c.server.pulls.Lock()
	c.server.pulls.done(id, over, c.server.opts.Now())
	c.server.pulls.Unlock()
	if over {
		e.stop()
	}
}

func (c *call) pullInstancesWithPath() error { return c.pull(pullWithPath) }
func (c *call) pullInstancePaths() error     { return c.pull(pullPaths) }
func (c *call) pullInstances() error         { return c.pull(pullInstances) }

func (c *call) pull(kind pullKind) error {
	id, err := c.text("EnumerationContext")
	if err != nil {
		return err
	}
	count, given, err := c.number("MaxObjectCount")
	if err != nil {
		return err
	}
	if !given {
		return c.bad("MaxObjectCount", "it must be given")
	}
	c.server.pulls.Lock()
	e, err := c.server.pulls.begin(id, c.who.User(), c.schema.Namespace, kind, c.server.opts.Now())
	c.server.pulls.Unlock()
	if err != nil {
		return err
	}
	return c.batch(id, e, count, nil)
}

func (c *call) closeEnumeration() error {
	id, err := c.text("EnumerationContext")
	if err != nil {
		return err
	}
	c.server.pulls.Lock()
	e, err := c.server.pulls.close(id, c.who.User(), c.schema.Namespace, c.server.opts.Now())
	c.server.pulls.Unlock()
	if err != nil {
		return err
	}
	e.stop()
	return nil
}

// selected reads a query and says what it selects.
func (c *call) selected(language, text string) (*query.Query, *object.Class, *shape, error) {
	l, err := c.text(language)
	if err != nil {
		return nil, nil, nil, err
	}
	t, err := c.text(text)
	if err != nil {
		return nil, nil, nil, err
	}
	q, err := query.Parse(l, t)
	if err != nil {
		return nil, nil, nil, err
	}
	class := c.schema.Class(q.Class)
	if class == nil {
		return nil, nil, nil, object.Errorf(object.InvalidQuery, "there is no class %.100q in %s", q.Class, c.schema.Namespace)
	}
	if err := q.Check(class); err != nil {
		return nil, nil, nil, err
	}
	return q, class, &shape{views: map[*object.Class]cimxml.View{}, list: q.Select, listed: q.Select != nil}, nil
}

func (c *call) execQuery() error {
	q, class, s, err := c.selected("QueryLanguage", "Query")
	if err != nil {
		return err
	}
	c.out.ReturnValue()
	for i, err := range filtered(c.instances(class), q) {
		if err != nil {
			return err
		}
		c.out.ObjectWithPath(c.host, i, s.view(i.Class()))
	}
	c.out.EndReturnValue()
	return nil
}

func (c *call) openQueryInstances() error {
	q, class, s, err := c.selected("FilterQueryLanguage", "FilterQuery")
	if err != nil {
		return err
	}
	wanted, err := c.flag("ReturnQueryResultClass", false)
	if err != nil {
		return err
	}
	var between func()
	if wanted {
		between = func() {
			c.out.ClassParam("QueryResultClass", class, listedView(cimxml.View{Qualifiers: true}, class, s.list, s.listed))
		}
	}
	return c.start(&enumeration{kind: pullInstances, shape: s}, filtered(c.instances(class), q), between)
}
