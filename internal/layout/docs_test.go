package layout

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berthdev/berth/internal/cli"
)

// page is a document of the repository.
type page struct {
	name string // slash-separated, from the top of the module
	text string
}

// pages returns what people read: README, CHANGELOG, docs and the READMEs of
// the examples.
func pages(t *testing.T) []page {
	t.Helper()
	names := []string{"README.md", "CHANGELOG.md"}
	err := filepath.WalkDir(filepath.Join(root(t), "docs"), func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path.Ext(name) == ".md" {
			rel, _ := filepath.Rel(root(t), name)
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	examples, err := filepath.Glob(filepath.Join(root(t), "examples", "*", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range examples {
		rel, _ := filepath.Rel(root(t), name)
		names = append(names, filepath.ToSlash(rel))
	}
	var list []page
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(root(t), filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, page{name, string(text)})
	}
	if len(list) < 10 {
		t.Fatalf("pages = %d documents, want README, CHANGELOG, guides and decisions", len(list))
	}
	return list
}

var (
	mdLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	mdHeading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notAnchor = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// anchors returns the anchors of a page's headings, made as GitHub makes them.
func anchors(text string) []string {
	var list []string
	for _, m := range mdHeading.FindAllStringSubmatch(text, -1) {
		list = append(list, strings.ReplaceAll(notAnchor.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return list
}

func TestLinksOfDocumentsResolve(t *testing.T) {
	links := 0
	for _, p := range pages(t) {
		for _, m := range mdLink.FindAllStringSubmatch(p.text, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			links++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := path.Join(path.Dir(p.name), file)
			if file == "" {
				target = p.name
			}
			text, err := os.ReadFile(filepath.Join(root(t), filepath.FromSlash(target)))
			if info, statErr := os.Stat(filepath.Join(root(t), filepath.FromSlash(target))); statErr == nil && info.IsDir() {
				err = nil
			}
			if err != nil {
				t.Errorf("%s links to %s, which is not there", p.name, m[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(string(text)), anchor) {
				t.Errorf("%s links to %s, and %s has no such heading", p.name, m[1], target)
			}
		}
	}
	if links < 10 {
		t.Errorf("found %d links, want those of README and docs", links)
	}
}

// manual is what the program's own help says.
type manual struct {
	help map[string]string // of a command by its words, such as "users create"; "" is the program's
}

func readManual(t *testing.T) manual {
	t.Helper()
	m := manual{help: map[string]string{}}
	var read func(words []string)
	read = func(words []string) {
		var out, talk bytes.Buffer
		code := cli.Run(t.Context(), append([]string{"help"}, words...), &cli.Env{
			Stdin: strings.NewReader(""), Stdout: &out, Stderr: &talk, Dir: t.TempDir(), Width: 80, Version: "test",
			Lookup: func(string) (string, bool) { return "", false }, Environ: func() []string { return nil }, Now: time.Now,
		})
		if code != 0 {
			t.Fatalf("berth help %s = exit %d: %s", strings.Join(words, " "), code, talk.String())
		}
		m.help[strings.Join(words, " ")] = out.String()
		for _, name := range subcommands(out.String()) {
			read(append(slices.Clone(words), name))
		}
	}
	read(nil)
	if len(m.help) < 12 {
		t.Fatalf("help names %d commands, want the whole program", len(m.help))
	}
	return m
}

var helpRow = regexp.MustCompile(`^  ([a-z]+) {3,}`)

// subcommands reads the lists of commands in a help text. Lists of examples
// begin with "berth", and flags with a dash.
func subcommands(help string) []string {
	var list []string
	section := ""
	for line := range strings.Lines(help) {
		line = strings.TrimRight(line, "\n")
		if line != "" && line[0] != ' ' {
			section = line
			continue
		}
		if m := helpRow.FindStringSubmatch(line); m != nil && section != "Examples" && section != "Usage" {
			list = append(list, m[1])
		}
	}
	return list
}

// has reports whether a command, or every command, has a flag.
func (m manual) has(command, flag string) bool {
	text := m.help[command] + m.help[""]
	return flag == "--help" || regexp.MustCompile(regexp.QuoteMeta(flag)+`\b[^-]`).MatchString(text)
}

// code returns the parts of a page that are code, one line each.
func code(text string) []string {
	var list []string
	fenced := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			fenced = !fenced
		case fenced || strings.HasPrefix(line, "    "):
			list = append(list, line)
		default:
			for i, part := range strings.Split(line, "`") {
				if i%2 == 1 {
					list = append(list, part)
				}
			}
		}
	}
	return list
}

var (
	usage     = regexp.MustCompile("\\bberth((?: [^\\s|;)#`]+)+)")
	shellWord = regexp.MustCompile(`^[a-z]+$`)
	longFlag  = regexp.MustCompile(`^--[a-z][a-z-]*`)
)

// problems says what of a line of code is not in the program: commands that do
// not exist and flags that a command does not have.
func (m manual) problems(line string) []string {
	var found []string
	for _, use := range usage.FindAllStringSubmatch(line, -1) {
		command, open := "", true
		for word := range strings.FieldsSeq(use[1]) {
			if word == "--" {
				break // the rest is somebody else's command
			}
			word = strings.Trim(word, `"',.:`)
			if flag := longFlag.FindString(word); flag != "" {
				if !m.has(command, flag) {
					found = append(found, "berth "+command+" has no flag "+flag)
				}
				open = false // what follows may be its value
				continue
			}
			if !open || !shellWord.MatchString(word) {
				open = false
				continue
			}
			next := strings.TrimSpace(command + " " + word)
			switch _, known := m.help[next]; {
			case known:
				command = next
			case command == "" || len(subcommands(m.help[command])) > 0:
				found = append(found, "there is no command berth "+next)
				open = false
			default:
				open = false // an argument
			}
		}
	}
	if flag := longFlag.FindString(line); flag != "" && !slices.ContainsFunc(slices.Collect(keysOf(m.help)), func(c string) bool { return m.has(c, flag) }) {
		found = append(found, "no command of berth has the flag "+flag)
	}
	return found
}

func keysOf(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func TestDocumentsNameCommandsThatExist(t *testing.T) {
	m := readManual(t)
	for _, p := range pages(t) {
		for _, line := range code(p.text) {
			for _, problem := range m.problems(line) {
				t.Errorf("%s: %q: %s", p.name, strings.TrimSpace(line), problem)
			}
		}
	}
}

func TestProblemsOfDocumentsAreSeen(t *testing.T) {
	m := readManual(t)
	for line, want := range map[string]int{
		"berth dev -- npm run dev --port 3": 0,
		"berth users create a@example.com":  0,
		"berth users make a@example.com":    1,
		"berth serve --adr x":               1,
		"berth prune --yes --exit-code":     1,
		"bin/berth demo --keep":             0,
		"a && berth nothing":                1,
		"--placement shared":                0,
		"--no-such-flag":                    1,
		"berth --help":                      0,
	} {
		if got := m.problems(line); len(got) != want {
			t.Errorf("problems(%q) = %q, want %d", line, got, want)
		}
	}
}

// questions are those that people asked and did not find answered (R69, R131),
// each with a word of the heading that answers it.
var questions = map[string]string{
	"which deployment to use": "which deployment do i use",
	"staging":                 "staging",
	"parallel previews":       "previews in parallel",
	"an existing account":     "existing workos account",
	"where the settings are":  "where are the settings",
}

func TestQuestionsHaveTheirHeading(t *testing.T) {
	var headings []string
	for _, p := range pages(t) {
		if p.name == "docs/which-deployment.md" {
			for _, m := range mdHeading.FindAllStringSubmatch(p.text, -1) {
				headings = append(headings, strings.ToLower(m[1]))
			}
		}
	}
	for question, words := range questions {
		if !slices.ContainsFunc(headings, func(h string) bool { return strings.Contains(h, words) }) {
			t.Errorf("no heading of docs/which-deployment.md holds %q, so the question about %s has no place", words, question)
		}
	}
}

var (
	codeRow  = regexp.MustCompile("(?m)^\\| ((?:`[a-z_]+`(?:, )?)+)(?: \\([0-9]\\))? \\| ")
	codeWord = regexp.MustCompile("`([a-z_]+)`")
	composed = regexp.MustCompile(`^(dev|preview)_deploy_key_in_prod$|^prod_uri_in_`) // put together from the kind in plan.Check
)

// TestRefusalsOfCredentialsExist holds the list of codes to the source.
func TestRefusalsOfCredentialsExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "docs", "credentials.md"))
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, p := range packages(t) {
		for _, name := range p.files {
			if data, err := os.ReadFile(filepath.Join(p.dir, name)); err == nil && !strings.HasSuffix(name, "_test.go") {
				source.Write(data)
			}
		}
	}
	n := 0
	for _, row := range codeRow.FindAllStringSubmatch(string(text), -1) {
		for _, m := range codeWord.FindAllStringSubmatch(row[1], -1) {
			n++
			want := `"` + m[1] + `"`
			switch composed.FindString(m[1]) {
			case "":
			case "prod_uri_in_":
				want = `"prod_uri_in_"`
			default:
				want = `"_deploy_key_in_prod"`
			}
			if !strings.Contains(source.String(), want) {
				t.Errorf("docs/credentials.md lists the code %s, and no source has %s", m[1], want)
			}
		}
	}
	if n < 20 {
		t.Errorf("found %d codes in docs/credentials.md, want the whole list", n)
	}
}

var architectureRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ")

func TestArchitectureNamesWhatIsThere(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range architectureRow.FindAllStringSubmatch(string(text), -1) {
		if info, err := os.Stat(filepath.Join(root(t), filepath.FromSlash(m[1]))); err != nil || !info.IsDir() {
			t.Errorf("docs/architecture.md has a line for %s, which is not there", m[1])
		}
	}
}
