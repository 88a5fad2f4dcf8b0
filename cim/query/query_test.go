package query_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/belay-ha/belay/cim/mof"
	"github.com/belay-ha/belay/cim/object"
	"github.com/belay-ha/belay/cim/query"
)

func instance(t testing.TB) *object.Instance {
	t.Helper()
	q, err := os.ReadFile("../mof/testdata/qualifiers.mof")
	if err != nil {
		t.Fatal(err)
	}
	schemas, err := mof.Compile(fstest.MapFS{"q.mof": {Data: q}, "a.mof": {Data: []byte(`#pragma include ("q.mof")
class T_Base { [Key] string Name; };
class T_Node : T_Base {
  uint16 State; sint32 Score; uint64 Big; real64 Ratio; boolean Up; datetime Since; string Nothing; uint16 Status[]; string Hosts[];
  [EmbeddedObject] string Source; [EmbeddedObject] string Previous;
};`)}}, "a.mof")
	if err != nil {
		t.Fatal(err)
	}
	s := schemas[0]
	i := s.MustClass("T_Node").New("root/cimv2")
	for n, v := range map[string]any{
		"Name": "n'1\\", "State": 2, "Score": -5, "Big": uint64(1<<64 - 1), "Ratio": 0.5, "Up": true, "Since": object.DateTime("20240229130507.000000+060"), "Status": []int{2, 5}, "Hosts": []string{"a", "b"},
	} {
		i.Set(n, v)
	}
	inner := s.MustClass("T_Node").New("")
	inner.Set("State", 3)
	i.Set("Source", inner)
	i.Set("Previous", s.MustClass("T_Base").New(""))
	return i
}

func TestMatch(t *testing.T) {
	i := instance(t)
	for _, c := range []struct {
		where string
		want  bool
	}{
		{`State = 2`, true},
		{`STATE <> 2`, false},
		{`T_Node.State >= 2`, true},
		{`2 = State`, true},
		{`State = 2.0`, true},
		{`State = 0x2`, true},
		{`State = '2'`, false},
		{`Score < -4`, true},
		{`Score > -5`, false},
		{`Score <= -5`, true},
		{`Big > -1`, true},
		{`Big = 18446744073709551615`, true},
		{`Big > 18446744073709551614`, true},
		{`Score < Big`, true},
		{`Ratio = 5e-1`, true},
		{`Ratio < 1`, true},
		{`Up = TRUE`, true},
		{`Up <> true`, false},
		{`Name = 'n''1\\'`, true},
		{`Name = "n'1\\"`, true},
		{`Name > 'a'`, true},
		{`Name = 'N''1\\'`, false},
		{`Since = '20240229120507.000000+000'`, true},
		{`Since < '20240301000000.000000+000'`, true},
		{`Since < 'yesterday'`, false},
		{`Nothing = 'x'`, false},
		{`NOT Nothing = 'x'`, false},
		{`Nothing IS NULL`, true},
		{`Name IS NOT NULL`, true},
		{`Nothing = NULL`, false},
		{`Nothing = 'x' OR State = 2`, true},
		{`NOT (Nothing = 'x' AND State = 3)`, true},
		{`State = 1 OR State = 3 AND Up = TRUE OR State = 2`, true},
		{`(State = 2 OR State = 1) AND NOT Up = TRUE`, false},
		{`NOT NOT State = 2`, true},
		{`Status[1] = 5`, true},
		{`Status[9] = 5`, false},
		{`Status = 2`, false},
		{`ANY Status = 5`, true},
		{`EVERY Status = 5`, false},
		{`EVERY Status >= 2`, true},
		{`ANY Hosts LIKE 'b%'`, true},
		{`ANY State = 2`, false},
		{`Name LIKE 'n%'`, true},
		{`Name LIKE '_''__'`, true},
		{`Name LIKE 'n'`, false},
		{`Name LIKE '.*'`, false},
		{`State LIKE '2'`, false},
		{`Source.State = 3`, true},
		{`Source.State <> State`, true},
		{`Source.State.X = 3`, false},
		{`Source ISA T_Base`, true},
		{`Previous ISA T_Node`, false},
		{`T_Node ISA T_Base`, true},
		{`Source ISA 'T_Node'`, true},
	} {
		q, err := query.Parse("wql", "select * from T_Node where "+c.where)
		if err != nil {
			t.Errorf("%s: %v", c.where, err)
			continue
		}
		if err := q.Check(i.Class()); err != nil && !strings.Contains(c.where, "X =") {
			t.Errorf("%s: %v", c.where, err)
		}
		if got := q.Match(i); got != c.want {
			t.Errorf("%s is %v, want %v", c.where, got, c.want)
		}
	}
}

func TestFilter(t *testing.T) {
	i := instance(t)
	for _, c := range []struct {
		text string
		want bool
	}{{`Name LIKE "n.*"`, true}, {`Name LIKE "n."`, false}, {`Name LIKE "n'1\\\\"`, true}, {`State = 2 AND ANY Status = 2`, true}} {
		q, err := query.ParseFilter("DMTF:FQL", c.text)
		if err != nil {
			t.Fatalf("%s: %v", c.text, err)
		}
		if q.Match(i) != c.want {
			t.Errorf("%s is not %v", c.text, c.want)
		}
	}
}

func TestSelect(t *testing.T) {
	q, err := query.Parse("DMTF:CQL", "SELECT T_Node.Name, State FROM T_Node")
	if err != nil || q.Class != "T_Node" || strings.Join(q.Select, " ") != "Name State" {
		t.Errorf("%+v, %v", q, err)
	}
	for _, all := range []string{"SELECT * FROM T_Node", "SELECT T_Node.* FROM T_Node", "SELECT Name, * FROM T_Node"} {
		if q, err := query.Parse("DMTF:CQL", all); err != nil || q.Select != nil {
			t.Errorf("%s: %+v, %v", all, q, err)
		}
	}
}

func TestRefused(t *testing.T) {
	for text, code := range map[string]object.Code{
		"": object.InvalidQuery, "SELECT": object.InvalidQuery, "SELECT FROM x": object.InvalidQuery, "SELECT * FROM": object.InvalidQuery, "SELECT * FROM T_Node WHERE": object.InvalidQuery,
		"SELECT * FROM T_Node WHERE a": object.InvalidQuery, "SELECT * FROM T_Node WHERE a = ": object.InvalidQuery, "SELECT * FROM T_Node WHERE a = 'x": object.InvalidQuery, "SELECT * FROM T_Node; DROP": object.InvalidQuery,
		"SELECT * FROM T_Node WHERE a = 1 b": object.InvalidQuery, "SELECT * FROM T_Node WHERE (a = 1": object.InvalidQuery, "SELECT * FROM T_Node WHERE a = 1x": object.InvalidQuery, "SELECT * FROM T_Node WHERE a[x] = 1": object.InvalidQuery,
		"SELECT * FROM T_Node WHERE a LIKE 5": object.InvalidQuery, "SELECT a.b FROM T_Node": object.InvalidQuery, "SELECT * FROM T_Node WHERE Missing = 1": object.InvalidQuery, "SELECT Missing FROM T_Node": object.InvalidQuery,
		"SELECT * FROM T_Node WHERE State.x = 1":                                                      object.InvalidQuery,
		"SELECT * FROM T_Node WHERE " + strings.Repeat("(", 100) + "a = 1" + strings.Repeat(")", 100): object.InvalidQuery,
		"SELECT * FROM T_Node WHERE " + strings.Repeat("NOT ", 100) + "a = 1":                         object.InvalidQuery,
		"SELECT * FROM T_Node WHERE a = '" + strings.Repeat("x", 5000) + "'":                          object.InvalidQuery,
		"SELECT * FROM T_Node WHERE a LIKE '" + strings.Repeat("%", 300) + "'":                        object.InvalidQuery,
		"SELECT * FROM T_Node WHERE a = '\xff'":                                                       object.InvalidQuery,
	} {
		q, err := query.Parse(query.WQL, text)
		if err == nil {
			err = q.Check(instance(t).Class())
		}
		if e, ok := errors.AsType[*object.Error](err); !ok || e.Code != code {
			t.Errorf("%.60s: %v, want %v", text, err, code)
		}
	}
	for _, language := range []string{"", "SQL", "DMTF:FQL"} {
		_, err := query.Parse(language, "SELECT * FROM T_Node")
		if e, ok := errors.AsType[*object.Error](err); !ok || e.Code != object.QueryLanguage {
			t.Errorf("%s: %v", language, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	i := instance(f)
	f.Add(`SELECT Name, T_Node.* FROM T_Node WHERE NOT (State <> 2 AND ANY Hosts LIKE 'a%_*.\\') OR Source.State[3] >= -1.5e+3 AND Source ISA T_Base`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, language := range []string{query.WQL, query.CQL} {
			q, err := query.Parse(language, text)
			if err == nil {
				err = q.Check(i.Class())
			}
			if err != nil {
				if e, ok := errors.AsType[*object.Error](err); !ok || e.Code != object.InvalidQuery {
					t.Fatal(err)
				}
			}
			if q != nil {
				q.Match(i)
			}
		}
		if q, err := query.ParseFilter(query.FQL, text); err == nil {
			q.Match(i)
		}
	})
}
