package tidemark_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The workflow runs every stage of .ci/run, so that visitors of the repository see the same checks.
func TestWorkflow_Jobs_RunEveryStageOfCI(t *testing.T) {
	found := regexp.MustCompile(`(?m)^stages=\((.+)\)$`).FindStringSubmatch(read(t, ".ci/run"))
	if found == nil {
		t.Fatal(".ci/run has no list of stages")
	}
	var workflow struct {
		Jobs map[string]struct {
			Strategy struct {
				Matrix struct {
					Stages []string `yaml:"stages"`
				} `yaml:"matrix"`
			} `yaml:"strategy"`
		} `yaml:"jobs"`
	}
	if err := yaml.Unmarshal([]byte(read(t, ".github/workflows/ci.yml")), &workflow); err != nil {
		t.Fatal(err)
	}
	var run []string
	for _, job := range workflow.Jobs {
		for _, stages := range job.Strategy.Matrix.Stages {
			run = append(run, strings.Fields(stages)...)
		}
	}
	stages := strings.Fields(found[1])
	for _, stage := range stages {
		if !slices.Contains(run, stage) {
			t.Errorf("no job of .github/workflows/ci.yml runs the stage %s", stage)
		}
	}
	for _, stage := range run {
		if !slices.Contains(stages, stage) {
			t.Errorf(".github/workflows/ci.yml runs the stage %s, which .ci/run does not have", stage)
		}
	}
}
