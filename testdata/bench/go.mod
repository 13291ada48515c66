module sigs.k8s.io/pkgs/testdata/bench

go 1.26.0

require (
	golang.org/x/sync v0.24.0
	sigs.k8s.io/pkgs v0.0.0
)

require github.com/ulikunitz/xz v0.5.17 // indirect

replace sigs.k8s.io/pkgs => ../..
