package deploy

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rhysd/actionlint"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

const examples = "../../cmd/pkgs/deploy/"

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(examples + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// strict decodes a document whose every field has to be one that the type knows.
func strict(t *testing.T, data []byte, v any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(data, v); err != nil {
		t.Errorf("%v\n%s", err, data)
	}
}

func TestKubernetes(t *testing.T) {
	var account corev1.ServiceAccount
	var config corev1.ConfigMap
	var job batchv1.CronJob
	var namespace corev1.Namespace
	into := map[string]any{"Namespace": &namespace, "ServiceAccount": &account, "ConfigMap": &config, "CronJob": &job}
	for _, document := range bytes.Split(read(t, "kubernetes.yaml"), []byte("\n---\n")) {
		var kind struct{ Kind string }
		if err := yaml.Unmarshal(document, &kind); err != nil {
			t.Fatal(err)
		}
		v := into[kind.Kind]
		if v == nil {
			t.Fatalf("a second or unexpected %q", kind.Kind)
		}
		delete(into, kind.Kind)
		strict(t, document, v)
	}
	if len(into) > 0 {
		t.Fatalf("missing: %v", into)
	}
	if account.Annotations["iam.gke.io/gcp-service-account"] == "" {
		t.Error("the service account has no workload identity")
	}
	spec := job.Spec
	pod := spec.JobTemplate.Spec.Template.Spec
	if spec.ConcurrencyPolicy != batchv1.ForbidConcurrent || pod.ServiceAccountName != account.Name || pod.RestartPolicy != corev1.RestartPolicyNever {
		t.Errorf("got %s, %s, %s", spec.ConcurrencyPolicy, pod.ServiceAccountName, pod.RestartPolicy)
	}
	for _, o := range []string{account.Namespace, config.Namespace, job.Namespace} {
		if o != namespace.Name {
			t.Errorf("something is in the namespace %q", o)
		}
	}
	rule := spec.JobTemplate.Spec.PodFailurePolicy.Rules[0].OnExitCodes
	if rule == nil || *rule.ContainerName != pod.Containers[0].Name || !slices.Contains(rule.Values, 4) || slices.Contains(rule.Values, 1) || slices.Contains(rule.Values, 5) {
		t.Errorf("the policy for failures is %+v", rule)
	}
	restricted(t, pod)
	if !slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.ConfigMap != nil && v.ConfigMap.Name == config.Name }) {
		t.Error("the configuration is not mounted")
	}
}

// restricted holds a pod to the restricted standard of Kubernetes, and to a read-only root file system.
func restricted(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	p := pod.SecurityContext
	if p == nil || !*p.RunAsNonRoot || *p.RunAsUser == 0 || p.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault || pod.HostNetwork || pod.HostPID || pod.HostIPC {
		t.Errorf("the pod's security context is %+v", p)
	}
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
		if v.HostPath != nil {
			t.Errorf("%s is a folder of the node", v.Name)
		}
	}
	for _, c := range pod.Containers {
		s := c.SecurityContext
		if s == nil || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
			t.Errorf("%s: the security context is %+v", c.Name, s)
		}
		if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
			t.Errorf("%s: the resources are %+v", c.Name, c.Resources)
		}
		writable := false
		for _, m := range c.VolumeMounts {
			writable = writable || m.MountPath == "/var/lib/pkgs" && !m.ReadOnly
			if !volumes[m.Name] {
				t.Errorf("%s: there is no volume %s", c.Name, m.Name)
			}
		}
		if !writable {
			t.Errorf("%s: /var/lib/pkgs, the one folder that is written to, is not mounted", c.Name)
		}
	}
}

// prowJobs is the part that we use of Prow's configuration of jobs (sigs.k8s.io/prow/pkg/config.JobConfig, whose module
// would bring all of Prow).
type prowJobs struct {
	Periodics []struct {
		Name             string            `json:"name"`
		Cron             string            `json:"cron"`
		Cluster          string            `json:"cluster"`
		MaxConcurrency   int               `json:"max_concurrency"`
		Decorate         bool              `json:"decorate"`
		Annotations      map[string]string `json:"annotations"`
		DecorationConfig struct {
			Timeout     string `json:"timeout"`
			GracePeriod string `json:"grace_period"`
		} `json:"decoration_config"`
		ExtraRefs []struct {
			Org     string `json:"org"`
			Repo    string `json:"repo"`
			BaseRef string `json:"base_ref"`
			Workdir bool   `json:"workdir"`
		} `json:"extra_refs"`
		Spec corev1.PodSpec `json:"spec"`
	} `json:"periodics"`
}

func TestProw(t *testing.T) {
	var jobs prowJobs
	strict(t, read(t, "prow.yaml"), &jobs)
	if len(jobs.Periodics) != 1 {
		t.Fatalf("%d jobs", len(jobs.Periodics))
	}
	job := jobs.Periodics[0]
	if job.MaxConcurrency != 1 || !job.Decorate || len(strings.Fields(job.Cron)) != 5 {
		t.Errorf("got %+v", job)
	}
	// Prow takes the command for its wrapper, and does not see an image's entrypoint.
	if len(job.Spec.Containers[0].Command) == 0 {
		t.Error("the container has no command")
	}
	restricted(t, job.Spec)
}

func TestGitHubActions(t *testing.T) {
	linter, err := actionlint.NewLinter(io.Discard, &actionlint.LinterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	problems, err := linter.Lint("packages.yaml", read(t, "github-actions.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
}
