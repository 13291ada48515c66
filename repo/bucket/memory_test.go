package bucket

import (
	"errors"
	"io"
	"maps"
	"testing"
	"time"
)

func TestMemoryFaults(t *testing.T) {
	m := NewMemory()
	kept := put(t, m, "kept", "0123456789")
	fault := OK
	m.Fault = func(op, name string) Fault { return fault }
	injected := func(what string, err error) {
		t.Helper()
		var e *InjectedError
		if !errors.As(err, &e) || e.Fault != fault {
			t.Errorf("%s with fault %d: %v", what, fault, err)
		}
	}
	exists := func(name string) bool {
		_, ok := m.objects[name]
		return ok
	}
	for _, fault = range []Fault{NotApplied, Applied, Partial} {
		_, err := m.Put(t.Context(), "new", Bytes(nil), PutOptions{Condition: IfAbsent})
		injected("put", err)
		if exists("new") != (fault == Applied) {
			t.Errorf("after a put with fault %d the object exists: %v", fault, exists("new"))
		}
		injected("delete", m.Delete(t.Context(), "new", m.objects["new"].info.Generation))
		if exists("new") {
			t.Errorf("after a delete with fault %d the object is still there", fault)
		}
		_, err = m.Stat(t.Context(), "kept")
		injected("stat", err)
		r, _, err := m.Open(t.Context(), "kept")
		if fault == Partial {
			var data []byte
			data, err = io.ReadAll(r)
			if string(data) != "01234" {
				t.Errorf("a broken reading gave %q", data)
			}
		}
		injected("open", err)
		var last error
		for _, last = range m.List(t.Context(), "") {
		}
		injected("list", last)
	}
	// A condition that does not hold is said to be so, fault or not: that answer came back.
	fault = Applied
	if _, err := m.Put(t.Context(), "kept", Bytes(nil), PutOptions{Condition: IfAbsent}); !errors.Is(err, ErrCondition) {
		t.Error(err)
	}
	want := map[string]int{"put": 5, "delete": 3, "stat": 3, "open": 3, "list": 3}
	if got := m.Counts(); !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
	if _, info := get(t, m.Clone(), "kept"); info != kept {
		t.Errorf("the copy has %+v", info)
	}
}

func TestMemoryClockAndCorruption(t *testing.T) {
	m := NewMemory()
	if a, b := put(t, m, "a", ""), put(t, m, "b", ""); !b.Modified.After(a.Modified) {
		t.Errorf("written at %s, then at %s", a.Modified, b.Modified)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m.Clock = func() time.Time { return now }
	if info := put(t, m, "a", "abc"); info.Modified != now {
		t.Errorf("written at %s", info.Modified)
	}
	err := m.Corrupt("a", func(b []byte) []byte { b[0] = 'x'; return b })
	if got, _ := get(t, m, "a"); got != "xbc" || err != nil {
		t.Errorf("corrupted into %q, %v", got, err)
	}
	if err := m.Corrupt("no", nil); !errors.Is(err, ErrNotExist) {
		t.Error(err)
	}
}
