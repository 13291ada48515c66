module sigs.k8s.io/pkgs/testdata/release

go 1.26.0
