// Records what goss makes of matchers, and Go of gjson paths and regular expressions, as lines of JSON.
//
// The versions are those of go.mod: goss 0.4.10, gjson 1.19.0. Regular expressions were recorded with Go 1.26.8.
//
//	go run . matchers > ../matchers.jsonl
//	go run . paths > ../paths.jsonl
//	go run . regexes > ../regexes.jsonl
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/goss-org/goss/matchers"
	"github.com/goss-org/goss/resource"
	"gopkg.in/yaml.v3"
)

// group crosses matchers with values: every matcher is tried on every value.
type group struct {
	matchers []string
	values   []string // as an ordinary attribute
	strings  []string // as an attribute that is a list of strings
	texts    []string // as a reader
}

func decode(text string) (value any) {
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		panic(fmt.Sprintf("%s: %s", text, err))
	}
	return value
}

func record(out *json.Encoder, kind, matcher string, actual any, get func() any) {
	line := map[string]any{"kind": kind, "matcher": json.RawMessage(matcher), "actual": actual}
	func() {
		defer func() {
			if r := recover(); r != nil {
				line["outcome"], line["error"] = "panic", fmt.Sprint(r)
			}
		}()
		result := resource.ValidateValue(&resource.Matching{}, "matches", decode(matcher), get(), false)
		switch {
		case result.Err != nil:
			line["outcome"], line["error"] = "error", string(*result.Err)
		case result.Result == resource.SUCCESS:
			line["outcome"] = "pass"
		default:
			r := result.MatcherResult
			line["outcome"], line["message"], line["expected"] = "fail", r.Message, r.Expected
			line["missing"], line["found"], line["extra"] = r.MissingElements, r.FoundElements, r.ExtraElements
			line["transforms"] = r.TransformerChain
			if kind != "text" || r.Message != "to have patterns" {
				line["shown"] = r.Actual
			}
		}
	}()
	if err := out.Encode(line); err != nil { // JSON has no infinity
		delete(line, "shown")
		if err := out.Encode(line); err != nil {
			panic(err)
		}
	}
}

func recordMatchers(out *json.Encoder) {
	for _, g := range groups {
		for _, m := range g.matchers {
			for _, v := range g.values {
				record(out, "value", m, json.RawMessage(v), func() any {
					return func() (any, error) { return decode(v), nil }
				})
			}
			for _, v := range g.strings {
				record(out, "strings", m, json.RawMessage(v), func() any {
					var list []string
					if err := json.Unmarshal([]byte(v), &list); err != nil {
						panic(err)
					}
					return func() ([]string, error) { return list, nil }
				})
			}
			for _, t := range g.texts {
				record(out, "text", m, t, func() any {
					return func() (io.Reader, error) { return strings.NewReader(t), nil }
				})
			}
		}
	}
}

func recordPaths(out *json.Encoder) {
	sample, err := os.ReadFile("../sample.json")
	if err != nil {
		panic(err)
	}
	for _, path := range paths {
		line := map[string]any{"path": path}
		if value, err := (matchers.Gjson{Path: path}).Transform(string(sample)); err != nil {
			line["error"] = err.Error()
		} else {
			line["value"] = value
		}
		if err := out.Encode(line); err != nil {
			panic(err)
		}
	}
}

func recordRegexes(out *json.Encoder) {
	for _, r := range regexes {
		line := map[string]any{"pattern": r.pattern}
		if compiled, err := regexp.Compile(r.pattern); err != nil {
			line["error"] = err.Error()
		} else {
			matches := map[string]any{}
			for _, text := range r.texts {
				matches[text] = compiled.FindStringSubmatch(text)
			}
			line["matches"] = matches
		}
		if err := out.Encode(line); err != nil {
			panic(err)
		}
	}
}

func main() {
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	switch strings.Join(os.Args[1:], " ") {
	case "matchers":
		recordMatchers(out)
	case "paths":
		recordPaths(out)
	case "regexes":
		recordRegexes(out)
	default:
		panic("usage: go run . matchers|paths|regexes")
	}
}
