// Renders the templates of cases.txt as goss does, and writes what comes out as JSON.
//
// Usage: TZ=UTC go run . < cases.txt > ../cases.json
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

// TmplVars is the data of a template.
type TmplVars struct{ Vars map[string]any }

func (*TmplVars) Env() map[string]string { return env }

var env = map[string]string{"HOME": "/root", "NAME": "image", "EMPTY": "", "TZ": "UTC"}

// vars is made anew for every case, since templates may change it. The types are those that YAML gives.
func vars() map[string]any {
	return map[string]any{
		"name": "web", "port": 8080, "ratio": 0.75, "big": 12345678.5, "on": true, "off": false, "none": nil,
		"empty": "", "zero": 0, "multi": "a\nb\nc", "html": "<a href=\"x\">&'</a>", "unicode": "héllo wörld",
		"users":    []any{"ann", "bob", "cleo"},
		"mixed":    []any{1, "two", 3.5, nil, true},
		"nothing":  []any{},
		"emptymap": map[string]any{},
		"nested":   map[string]any{"a": map[string]any{"b": map[string]any{"c": 42}}, "list": []any{1, 2, 3}},
		"packages": map[string]any{"nginx": "1.24.0", "curl": "8.5.0", "bash": "5.2"},
		"hosts":    []any{map[string]any{"name": "a", "ip": "10.0.0.1"}, map[string]any{"name": "b", "ip": "10.0.0.2"}},
		"dash-key": "dashed", "numbers": []any{3, 1, 2},
	}
}

func submatches(pattern, text string) map[string]any {
	re := regexp.MustCompile(pattern)
	numbered, named := map[string]any{}, map[string]any{}
	for i, group := range re.FindStringSubmatch(text) {
		numbered[strconv.Itoa(i)] = group
		if name := re.SubexpNames()[i]; name != "" {
			named[name] = group
		}
	}
	if len(named) > 0 {
		return named
	}
	return numbered
}

var goss = template.FuncMap{
	"mkSlice": func(items ...any) []any { return items },
	"readFile": func(path string) (string, error) {
		text, err := os.ReadFile(path)
		return strings.TrimSpace(string(text)), err
	},
	"getEnv": func(name string, fallback ...string) string {
		if value := os.Getenv(name); value != "" || len(fallback) == 0 {
			return value
		}
		return fallback[0]
	},
	"regexMatch": func(pattern, text string) (bool, error) {
		re, err := regexp.Compile(pattern)
		return err == nil && re.MatchString(text), err
	},
	"toUpper":            strings.ToUpper,
	"toLower":            strings.ToLower,
	"findStringSubmatch": submatches,
}

func render(text string) (result string, err error) {
	t, err := template.New("test").Funcs(sprig.TxtFuncMap()).Funcs(goss).Parse(text)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = t.Option("missingkey=error").Execute(&out, &TmplVars{vars()})
	return out.String(), err
}

// Case is a template and its result, which is null for an error.
type Case struct {
	Template string  `json:"template"`
	Expected *string `json:"expected"`
}

func main() {
	os.Clearenv()
	for name, value := range env {
		os.Setenv(name, value)
	}
	cases := []Case{}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		line := in.Text()
		if line == "" || strings.HasPrefix(line, "# ") {
			continue
		}
		// `␤` stands for a line feed, so that every case is one line.
		c := Case{Template: strings.ReplaceAll(line, "␤", "\n")}
		if text, err := render(c.Template); err == nil {
			c.Expected = &text
		} else {
			fmt.Fprintf(os.Stderr, "%s\n    %v\n", line, err)
		}
		cases = append(cases, c)
	}
	data := map[string]any{"vars": vars(), "env": env}
	versions := map[string]string{"go": runtime.Version()}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			versions[module.Path] = module.Version
		}
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(map[string]any{"versions": versions, "data": data, "cases": cases}); err != nil {
		panic(err)
	}
}
