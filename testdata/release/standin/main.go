// Command standin plays kubeadm, kubectl, kubelet or crictl in a release directory made for trying pkgs out: a small,
// static program that answers the question for its version in the words of the program it stands for, and says on
// standard error that it is a stand-in. It does nothing else.
package main

import "os"

// The linker sets both: -X main.name=kubelet -X main.version=v1.35.0.
var (
	name    = "kubelet"
	version = "v0.0.0"
)

// answers holds what the real program prints when asked for its version, and how it is asked.
var answers = map[string]struct {
	question []string
	answer   string
}{
	"kubeadm": {[]string{"version", "-o", "short"}, ""},
	"kubectl": {[]string{"version", "--client"}, "Client Version: "},
	"kubelet": {[]string{"--version"}, "Kubernetes "},
	"crictl":  {[]string{"--version"}, "crictl version "},
}

func main() {
	os.Stderr.WriteString("this is a stand-in for " + name + ", made for trying pkgs out: it only tells its version\n")
	a := answers[name]
	if len(os.Args) < 2 || os.Args[1] != a.question[0] && os.Args[1] != "--version" {
		ask := name
		for _, word := range a.question {
			ask += " " + word
		}
		os.Stderr.WriteString("ask it with: " + ask + "\n")
		os.Exit(2)
	}
	os.Stdout.WriteString(a.answer + version + "\n")
}
