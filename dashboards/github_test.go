package main

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// read returns a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// readPart reads the keys of a file of the repository that v has.
func readPart(t *testing.T, name string, v any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, name)), v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// moduleFolders are the folders of all go.mod files, as dependabot.yml writes them.
func moduleFolders(t *testing.T) (folders []string) {
	t.Helper()
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != "..":
			return fs.SkipDir
		case d.Name() == "go.mod":
			folders = append(folders, path.Clean("/"+strings.TrimPrefix(filepath.ToSlash(filepath.Dir(name)), "..")))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(folders)
	return folders
}

func TestDependabot_UpdatesEveryModuleAndTheActions(t *testing.T) {
	var config struct {
		Updates []struct {
			Ecosystem   string   `yaml:"package-ecosystem"`
			Directory   string   `yaml:"directory"`
			Directories []string `yaml:"directories"`
		} `yaml:"updates"`
	}
	readPart(t, ".github/dependabot.yml", &config)
	got := map[string][]string{}
	for _, u := range config.Updates {
		got[u.Ecosystem] = append(got[u.Ecosystem], u.Directories...)
		if u.Directory != "" {
			got[u.Ecosystem] = append(got[u.Ecosystem], u.Directory)
		}
	}
	modules := got["gomod"]
	slices.Sort(modules)
	if want := moduleFolders(t); !slices.Equal(modules, want) {
		t.Errorf("modules: dependabot.yml has\n%q\nthe repository\n%q", modules, want)
	}
	if actions := got["github-actions"]; !slices.Equal(actions, []string{"/"}) {
		t.Errorf("actions: got %q, want the root of the repository", actions)
	}
}

// A tag can be moved to another commit. dependabot.yml reads the tag from the comment.
func TestWorkflows_PinActionsByCommit(t *testing.T) {
	files, err := filepath.Glob("../.github/workflows/*.yml")
	if err != nil || len(files) < 2 {
		t.Fatal("no workflows", files, err)
	}
	uses := regexp.MustCompile(`(?m)^[ -]*uses: *(.*)$`)
	pinned := regexp.MustCompile(`^[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	for _, file := range files {
		name := strings.TrimPrefix(filepath.ToSlash(file), "../")
		for _, action := range uses.FindAllStringSubmatch(read(t, name), -1) {
			if !pinned.MatchString(action[1]) {
				t.Errorf("%s: %s is not pinned as action@commit # v1.2.3", name, action[1])
			}
		}
	}
}

func TestWorkflows_MayOnlyReadTheRepository(t *testing.T) {
	for _, name := range []string{".github/workflows/ci.yml", ".github/workflows/gotip.yml"} {
		var workflow struct {
			Permissions map[string]string `yaml:"permissions"`
			Jobs        map[string]struct {
				Permissions any `yaml:"permissions"`
			} `yaml:"jobs"`
		}
		readPart(t, name, &workflow)
		if p := workflow.Permissions; len(p) != 1 || p["contents"] != "read" {
			t.Errorf("%s: permissions are %v, want only to read contents", name, p)
		}
		for job, j := range workflow.Jobs {
			if j.Permissions != nil {
				t.Errorf("%s: job %s has permissions of its own", name, job)
			}
		}
	}
}

// GitHub shows no form if one of these is missing or not known.
func TestIssueForms_AreComplete(t *testing.T) {
	for _, name := range []string{"bug", "feature"} {
		var form struct {
			Name        string   `yaml:"name"`
			Description string   `yaml:"description"`
			Labels      []string `yaml:"labels"`
			Body        []struct {
				Type       string `yaml:"type"`
				ID         string `yaml:"id"`
				Attributes struct {
					Label       string `yaml:"label"`
					Description string `yaml:"description"`
					Placeholder string `yaml:"placeholder"`
					Render      string `yaml:"render"`
					Value       string `yaml:"value"`
				} `yaml:"attributes"`
				Validations struct {
					Required bool `yaml:"required"`
				} `yaml:"validations"`
			} `yaml:"body"`
		}
		readYAML(t, "../.github/ISSUE_TEMPLATE/"+name+".yml", &form)
		if form.Name == "" || form.Description == "" || len(form.Body) == 0 {
			t.Errorf("%s: a form has a name, a description and a body", name)
		}
		ids := map[string]bool{}
		for i, field := range form.Body {
			switch a := field.Attributes; field.Type {
			case "markdown":
				if a.Value == "" {
					t.Errorf("%s, field %d: no text", name, i)
				}
			case "textarea":
				if field.ID == "" || ids[field.ID] || a.Label == "" || a.Description == "" {
					t.Errorf("%s, field %d: the id %q must be its own, and a label and a description must be there", name, i, field.ID)
				}
				ids[field.ID] = true
			default:
				t.Errorf("%s, field %d: type %q", name, i, field.Type)
			}
		}
	}
}

func TestPullRequestTemplate_HasTheQuestionsOfTheReviewer(t *testing.T) {
	question := regexp.MustCompile(`(?m)^\d\. \*\*(.+?)\*\*`)
	questions := func(name string) (all []string) {
		for _, q := range question.FindAllStringSubmatch(read(t, name), -1) {
			all = append(all, q[1])
		}
		return all
	}
	want := questions("CONTRIBUTING.md")
	if got := questions(".github/pull_request_template.md"); len(want) != 4 || !slices.Equal(got, want) {
		t.Errorf("the template has the questions\n%q\nCONTRIBUTING.md\n%q", got, want)
	}
}
