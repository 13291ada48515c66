package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// container is what an example says of a container, as far as it concerns the program.
type container struct {
	Args []string `yaml:"args"`
}

// TestDeployCommands holds the examples in deploy to the commands, the flags and the configuration that there are. The module
// testdata/deploy looks at everything else in them.
func TestDeployCommands(t *testing.T) {
	var kubernetes struct {
		Kind string            `yaml:"kind"`
		Data map[string]string `yaml:"data"`
		Spec struct {
			JobTemplate struct {
				Spec struct {
					Template struct {
						Spec struct {
							Containers []container `yaml:"containers"`
						} `yaml:"spec"`
					} `yaml:"template"`
				} `yaml:"spec"`
			} `yaml:"jobTemplate"`
		} `yaml:"spec"`
	}
	var lines []string
	configs := 0
	for _, document := range bytes.Split(readExample(t, "kubernetes.yaml"), []byte("\n---\n")) {
		kubernetes.Data, kubernetes.Spec.JobTemplate.Spec.Template.Spec.Containers = nil, nil
		if err := yaml.Unmarshal(document, &kubernetes); err != nil {
			t.Fatal(err)
		}
		for _, c := range kubernetes.Spec.JobTemplate.Spec.Template.Spec.Containers {
			lines = append(lines, "pkgs "+strings.Join(c.Args, " "))
		}
		for name, data := range kubernetes.Data {
			file := filepath.Join(t.TempDir(), name)
			writeExample(t, file, data)
			if _, err := readConfig(file); err != nil {
				t.Errorf("kubernetes.yaml: %v", err)
			}
			configs++
		}
	}
	var prow struct {
		Periodics []struct {
			Spec struct {
				Containers []container `yaml:"containers"`
			} `yaml:"spec"`
		} `yaml:"periodics"`
	}
	if err := yaml.Unmarshal(readExample(t, "prow.yaml"), &prow); err != nil {
		t.Fatal(err)
	}
	for _, job := range prow.Periodics {
		for _, c := range job.Spec.Containers {
			lines = append(lines, "pkgs "+strings.Join(c.Args, " "))
		}
	}
	var github struct {
		Jobs map[string]struct {
			Steps []struct {
				Run string `yaml:"run"`
			} `yaml:"steps"`
		} `yaml:"jobs"`
	}
	if err := yaml.Unmarshal(readExample(t, "github-actions.yaml"), &github); err != nil {
		t.Fatal(err)
	}
	for _, job := range github.Jobs {
		for _, step := range job.Steps {
			lines = append(lines, commandLines(step.Run)...)
		}
	}
	if len(lines) != 3 || configs != 1 {
		t.Errorf("found %d configurations and the commands %q, want one of each kind", configs, lines)
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "pkgs reconcile --confirm ") {
			t.Errorf("%s is not the nightly job", line)
		}
		checkCommandLine(t, "deploy", line)
	}
	// What the pipeline packages itself with is a configuration like any other.
	if _, err := readConfig("dist/pkgs.yaml"); err != nil {
		t.Error(err)
	}
}

func readExample(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeExample(t *testing.T, name, data string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}
