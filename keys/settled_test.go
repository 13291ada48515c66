package keys

import (
	"strings"
	"testing"
)

// TestSettled: what follows from the keys of a keyring does not depend on their order, and grows with each key that comes.
func TestSettled(t *testing.T) {
	public := func(name string) *Keyring { return private(t, name+"-private.asc").Public() }
	one, two, third := public("one"), public("two"), public("rsa3072")
	both, turned := Merge(one, two), Merge(two, one)
	if string(both.Binary()) == string(turned.Binary()) {
		t.Fatal("the test needs keyrings in two orders")
	}
	if string(both.Settled().Binary()) != string(turned.Settled().Binary()) || !both.Same(turned) || both.Version() != turned.Version() {
		t.Errorf("the order of the keys matters: versions %s and %s", both.Version(), turned.Version())
	}
	if one.Same(both) || both.Same(one) || one.Same(two) {
		t.Error("keyrings with other keys count as the same")
	}
	if got := one.Version(); got != "2024.01.01.1" {
		t.Errorf("the version of one key is %s", got)
	}
	if one.Version() >= both.Version() || both.Version() >= Merge(both, third).Version() {
		t.Errorf("versions do not grow: %s, %s, %s", one.Version(), both.Version(), Merge(both, third).Version())
	}
	if !strings.HasPrefix(both.Version(), both.Updated().Format("2006.01.02")) {
		t.Errorf("version %s of keys of %s", both.Version(), both.Updated())
	}
}
