package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// backends is the folder of the setups that show the example in Grafana.
const backends = "../example/backends"

// container is a service of compose.yaml.
type container struct {
	Image       string            `yaml:"image"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Security    []string          `yaml:"security_opt"`
	Volumes     []string          `yaml:"volumes"`
	Ports       []string          `yaml:"ports"`
	DependsOn   []string          `yaml:"depends_on"`
}

func readContainers(t *testing.T) map[string]container {
	t.Helper()
	var compose struct {
		Name     string               `yaml:"name"`
		Services map[string]container `yaml:"services"`
	}
	readYAML(t, backends+"/compose.yaml", &compose)
	names := slices.Sorted(maps.Keys(compose.Services))
	if want := []string{"collector", "grafana", "jaeger", "prometheus"}; !slices.Equal(names, want) {
		t.Fatalf("compose.yaml has %v, want %v", names, want)
	}
	for name, c := range compose.Services {
		for _, other := range c.DependsOn {
			if _, ok := compose.Services[other]; !ok {
				t.Errorf("%s depends on %s, which is not there", name, other)
			}
		}
	}
	return compose.Services
}

// host is the file or folder of the repository that is at a path in the container.
func (c container) host(inside string) (string, bool) {
	for _, v := range c.Volumes {
		from, to, _ := strings.Cut(strings.TrimSuffix(v, ":ro"), ":")
		if rest, ok := strings.CutPrefix(inside, to); ok && (rest == "" || rest[0] == '/') {
			return filepath.Join(backends, from, rest), true
		}
	}
	return "", false
}

// configured is the file that the command names as its configuration.
func (c container) configured() string {
	for _, argument := range c.Command {
		if value, ok := strings.CutPrefix(argument, "--config="); ok {
			return value
		}
		if value, ok := strings.CutPrefix(argument, "--config.file="); ok {
			return value
		}
	}
	return ""
}

func TestCompose_MountsFilesOfTheRepositoryReadOnly(t *testing.T) {
	for name, c := range readContainers(t) {
		// Without it, SELinux refuses to let them read it.
		if want := []string{"label=disable"}; !slices.Equal(c.Security, want) {
			t.Errorf("%s has the options %v, want %v", name, c.Security, want)
		}
		for _, v := range c.Volumes {
			parts := strings.Split(v, ":")
			if len(parts) != 3 || parts[2] != "ro" || !strings.HasPrefix(parts[0], ".") || !path.IsAbs(parts[1]) {
				t.Errorf("%s mounts %s, want ./here:/there:ro", name, v)
				continue
			}
			if _, err := os.Stat(filepath.Join(backends, parts[0])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		want := map[string]string{"collector": "collector.yaml", "jaeger": "jaeger.yaml", "prometheus": "prometheus.yaml"}[name]
		if want == "" {
			continue
		}
		if got, ok := c.host(c.configured()); !ok || got != filepath.Join(backends, want) {
			t.Errorf("%s is configured by %s, want %s", name, got, want)
		}
	}
}

func TestCompose_HasTheVersionsThatAreBuilt(t *testing.T) {
	required := func(tool, module string) (minor, patch int) {
		t.Helper()
		content, err := os.ReadFile(filepath.Join("../tools", tool, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		version := regexp.MustCompile(`(?m)^\s*(?:require )?` + regexp.QuoteMeta(module) + ` v[01]\.(\d+\.\d+)\b`).FindSubmatch(content)
		if version == nil {
			t.Fatalf("tools/%s/go.mod does not have %s", tool, module)
		}
		if _, err := fmt.Sscanf(string(version[1]), "%d.%d", &minor, &patch); err != nil {
			t.Fatal(err)
		}
		return minor, patch
	}
	want := map[string]string{"grafana": "grafana/grafana:12.3.1"} // it is not built from source
	minor, patch := required("prometheus", "github.com/prometheus/prometheus")
	want["prometheus"] = fmt.Sprintf("prom/prometheus:v3.%d.%d", minor-300, patch) // 3.15 is the module's 0.315
	minor, patch = required("jaeger", "github.com/jaegertracing/jaeger")
	want["jaeger"] = fmt.Sprintf("jaegertracing/jaeger:2.%d.%d", minor-63, patch) // 2.13 was released as 1.76 too
	minor, patch = required("jaeger", "go.opentelemetry.io/collector/otelcol")
	want["collector"] = fmt.Sprintf("otel/opentelemetry-collector:0.%d.%d", minor, patch)
	got := map[string]string{}
	for name, c := range readContainers(t) {
		got[name] = c.Image
	}
	if !maps.Equal(got, want) {
		t.Errorf("the images are %v, want %v", got, want)
	}
}

func TestCompose_PublishesPortsOnLoopbackOnly(t *testing.T) {
	got := map[string][]string{}
	for name, c := range readContainers(t) {
		got[name] = c.Ports
	}
	want := map[string][]string{
		"collector":  {"127.0.0.1:4317:4317", "127.0.0.1:4318:4318"},
		"grafana":    {"127.0.0.1:3000:3000"},
		"jaeger":     {"127.0.0.1:16686:16686"},
		"prometheus": {"127.0.0.1:9090:9090"},
	}
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("the ports are %v, want %v", got, want)
	}
}

// fromEnvironment is a variable of the environment in a configuration, with its default.
var fromEnvironment = regexp.MustCompile(`\$\{env:(\w+)(?::-([^}]*))?\}`)

func TestBackends_AddressesHaveTheSameDefaults(t *testing.T) {
	script, err := os.ReadFile(filepath.Join(backends, "start"))
	if err != nil {
		t.Fatal(err)
	}
	started := map[string]string{}
	for _, m := range regexp.MustCompile(`\b(\w+)=\$\{(\w+):-([^}$]+)\}`).FindAllStringSubmatch(string(script), -1) {
		if m[1] == m[2] {
			started[m[1]] = m[3]
		}
	}
	inFiles := map[string]string{}
	containers := readContainers(t)
	for _, name := range []string{"collector", "jaeger"} {
		content, err := os.ReadFile(filepath.Join(backends, name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, m := range fromEnvironment.FindAllStringSubmatch(string(content), -1) {
			names[m[1]] = true
			if before, ok := inFiles[m[1]]; ok && before != m[2] {
				t.Errorf("%s.yaml: %s has the default %s, and %s elsewhere", name, m[1], m[2], before)
			}
			inFiles[m[1]] = m[2]
		}
		// In a container the loopback interface is the container's own.
		if set := slices.Sorted(maps.Keys(containers[name].Environment)); !slices.Equal(set, slices.Sorted(maps.Keys(names))) {
			t.Errorf("compose.yaml sets %v for %s, whose file uses %v", set, name, slices.Sorted(maps.Keys(names)))
		}
	}
	if !maps.Equal(inFiles, started) || len(inFiles) != 5 {
		t.Errorf("the files have %v, start has %v", inFiles, started)
	}
}

// collectorFile is the configuration of a Collector.
type collectorFile struct {
	Receivers  map[string]any `yaml:"receivers"`
	Processors map[string]any `yaml:"processors"`
	Exporters  map[string]any `yaml:"exporters"`
	Extensions map[string]any `yaml:"extensions"`
	Service    struct {
		Extensions []string `yaml:"extensions"`
		Pipelines  map[string]struct {
			Receivers  []string `yaml:"receivers"`
			Processors []string `yaml:"processors"`
			Exporters  []string `yaml:"exporters"`
		} `yaml:"pipelines"`
		Telemetry map[string]any `yaml:"telemetry"`
	} `yaml:"service"`
}

func TestCollector_EveryPartIsConfiguredAndUsed(t *testing.T) {
	for name, pipelines := range map[string][]string{"collector.yaml": {"metrics", "traces"}, "jaeger.yaml": {"traces"}} {
		var f collectorFile
		readYAML(t, filepath.Join(backends, name), &f)
		if got := slices.Sorted(maps.Keys(f.Service.Pipelines)); !slices.Equal(got, pipelines) {
			t.Errorf("%s has pipelines for %v, want %v", name, got, pipelines)
		}
		used := map[string][]string{"extensions": f.Service.Extensions}
		for _, p := range f.Service.Pipelines {
			used["receivers"] = append(used["receivers"], p.Receivers...)
			used["processors"] = append(used["processors"], p.Processors...)
			used["exporters"] = append(used["exporters"], p.Exporters...)
		}
		for kind, parts := range map[string]map[string]any{
			"receivers": f.Receivers, "processors": f.Processors, "exporters": f.Exporters, "extensions": f.Extensions,
		} {
			slices.Sort(used[kind])
			if got, want := slices.Compact(used[kind]), slices.Sorted(maps.Keys(parts)); !slices.Equal(got, want) {
				t.Errorf("%s uses the %s %v, and configures %v", name, kind, got, want)
			}
		}
	}
}

// prometheusFile is the configuration of a Prometheus.
type prometheusFile struct {
	Global        map[string]string `yaml:"global,omitempty"`
	RuleFiles     []string          `yaml:"rule_files"`
	ScrapeConfigs []any             `yaml:"scrape_configs,omitempty"`
	Storage       map[string]any    `yaml:"storage,omitempty"`
	OTLP          *struct {
		Promoted []string `yaml:"promote_resource_attributes"`
	} `yaml:"otlp,omitempty"`
}

func TestPrometheusConfig_FindsTheRules(t *testing.T) {
	inside := readContainers(t)["prometheus"]
	for _, name := range []string{"prometheus.yaml", "scrape.yaml"} {
		var f prometheusFile
		readYAML(t, filepath.Join(backends, name), &f)
		if want := []string{"../../" + rulesFile}; !slices.Equal(f.RuleFiles, want) {
			t.Errorf("%s names the rules %v, want %v", name, f.RuleFiles, want)
		}
		// promtool reads the rules too. Debian's version does not support OTLP.
		f.OTLP = nil
		for i, rules := range f.RuleFiles {
			if got, ok := inside.host(path.Join(path.Dir(inside.configured()), rules)); !ok || got != filepath.Join("..", rulesFile) {
				t.Errorf("in the container %s names %q", name, got)
			}
			absolute, err := filepath.Abs(filepath.Join(backends, rules))
			if err != nil {
				t.Fatal(err)
			}
			f.RuleFiles[i] = absolute
		}
		checked := filepath.Join(t.TempDir(), name)
		writeYAML(t, checked, f)
		if out, err := promtool(t, "check", "config", checked); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestPrometheusConfig_HasTheSameSwitchesWithoutContainers(t *testing.T) {
	script, err := os.ReadFile(filepath.Join(backends, "start"))
	if err != nil {
		t.Fatal(err)
	}
	var switches []string
	for _, argument := range readContainers(t)["prometheus"].Command {
		if argument == "--web.enable-otlp-receiver" || strings.HasPrefix(argument, "--enable-feature=") {
			switches = append(switches, argument)
		}
	}
	if line := strings.Join(switches, " ") + "\n"; len(switches) != 2 || !strings.Contains(string(script), " "+line) {
		t.Errorf("start does not have %q", line)
	}
	for _, name := range []string{"start", "build"} {
		if out, err := exec.CommandContext(t.Context(), "bash", "-n", filepath.Join(backends, name)).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestGrafanaConfig_ExemplarsOpenTraces(t *testing.T) {
	type link struct {
		Name  string `yaml:"name"`
		UID   string `yaml:"datasourceUid"`
		Label string `yaml:"urlDisplayLabel"`
	}
	type source struct {
		Name    string `yaml:"name"`
		UID     string `yaml:"uid"`
		Type    string `yaml:"type"`
		Access  string `yaml:"access"`
		URL     string `yaml:"url"`
		Default bool   `yaml:"isDefault"`
		JSON    struct {
			Method   string `yaml:"httpMethod"`
			Interval string `yaml:"timeInterval"`
			Links    []link `yaml:"exemplarTraceIdDestinations"`
		} `yaml:"jsonData"`
	}
	var f struct {
		Version int      `yaml:"apiVersion"`
		Sources []source `yaml:"datasources"`
	}
	readYAML(t, backends+"/grafana/datasources/backends.yaml", &f)
	containers := readContainers(t)
	types := map[string]string{}
	var byDefault string
	for _, s := range f.Sources {
		types[s.UID] = s.Type
		if s.Default {
			byDefault += s.Type
		}
		// Grafana connects to them by the names of their containers.
		host := strings.TrimPrefix(s.URL, "http://")
		name, port, _ := strings.Cut(host, ":")
		if !slices.Contains(containers[name].Ports, "127.0.0.1:"+port+":"+port) || !slices.Contains(containers["grafana"].DependsOn, name) {
			t.Errorf("%s is at %s, where no service listens", s.Name, s.URL)
		}
	}
	if want := map[string]string{"otelpool-prometheus": "prometheus", "otelpool-jaeger": "jaeger"}; !maps.Equal(types, want) {
		t.Errorf("the data sources are %v, want %v", types, want)
	}
	for _, s := range f.Sources {
		if s.Type != "prometheus" {
			continue
		}
		if len(s.JSON.Links) != 1 || s.JSON.Links[0].Name != "trace_id" || types[s.JSON.Links[0].UID] != "jaeger" {
			t.Errorf("exemplars link to %v", s.JSON.Links)
		}
	}
	if byDefault != "prometheus" {
		t.Errorf("the default is %q", byDefault)
	}
}

func TestGrafanaConfig_ShowsTheDashboardsOfTheDefaultNaming(t *testing.T) {
	var f struct {
		Version   int `yaml:"apiVersion"`
		Providers []struct {
			Name    string            `yaml:"name"`
			Type    string            `yaml:"type"`
			Folder  string            `yaml:"folder"`
			Options map[string]string `yaml:"options"`
		} `yaml:"providers"`
	}
	readYAML(t, backends+"/grafana/dashboards/otelpool.yaml", &f)
	if len(f.Providers) != 1 {
		t.Fatalf("%d providers", len(f.Providers))
	}
	grafana := readContainers(t)["grafana"]
	var shown []string
	for _, v := range grafana.Volumes {
		_, inside, _ := strings.Cut(strings.TrimSuffix(v, ":ro"), ":")
		if path.Dir(inside) != f.Providers[0].Options["path"] {
			continue
		}
		file, _ := grafana.host(inside)
		shown = append(shown, filepath.Base(file))
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d struct {
			Templating struct {
				List []struct{ Type, Query any }
			}
		}
		if err := json.Unmarshal(content, &d); err != nil {
			t.Fatal(err)
		}
		if first := d.Templating.List[0]; first.Type != "datasource" || first.Query != "prometheus" {
			t.Errorf("the first variable of %s is %v %v", file, first.Type, first.Query)
		}
	}
	slices.Sort(shown)
	if want := []string{"otelpool-fleet.json", "otelpool-pool.json"}; !slices.Equal(shown, want) {
		t.Errorf("Grafana shows %v, want %v", shown, want)
	}
	for _, to := range []string{"/etc/grafana/provisioning/datasources/backends.yaml", "/etc/grafana/provisioning/dashboards/otelpool.yaml", grafana.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]} {
		file, ok := grafana.host(to)
		if _, err := os.Stat(file); !ok || err != nil {
			t.Errorf("Grafana has no %s: %v", to, err)
		}
	}
}
