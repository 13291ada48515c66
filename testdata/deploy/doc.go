// Package deploy holds the examples in cmd/pkgs/deploy to the types that Kubernetes and GitHub read them into. It is a
// module of its own, so that the pipeline does not depend on Kubernetes.
package deploy
