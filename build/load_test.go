package build

import "testing"

func TestDefault(t *testing.T) {
	all, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cri-tools", "kubeadm", "kubectl", "kubelet", "kubernetes-cni"} {
		if all[name] == nil {
			t.Errorf("no %s", name)
		}
	}
}
