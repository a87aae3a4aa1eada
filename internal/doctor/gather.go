package doctor

import (
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/berthdev/berth/internal/project"
)

// Files returns a Subject of an app folder: what can be known without asking
// anybody. lookup reads the process environment.
func Files(app *project.App, lookup func(string) (string, bool)) (*Subject, error) {
	s := &Subject{App: app, Lookup: lookup, Now: time.Now(), Unreachable: map[Need]string{}, Kind: "dev"}
	if app.HasConfig {
		config, err := app.ReadConfig()
		if err != nil {
			return nil, err
		}
		s.Config = config
	}
	env, err := app.ReadEnvFile(app.EnvPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	s.Env = env
	web, functions := app.Rel(app.WebDir), app.Rel(app.FunctionsDir)
	folders := []string{web}
	if web != "." && functions != web && !strings.HasPrefix(functions, web+"/") {
		folders = append(folders, functions)
	}
	s.Source, err = ReadSource(app.Root, folders...)
	return s, err
}
